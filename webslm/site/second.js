// Owns loading the base model beside the tuned one, for the modes that compare them.

import { button, h } from "./dom.js";
import { explain } from "./problem.js";
import { readableBytes } from "./readable.js";
import { session } from "./session.js";
import { showProblem } from "./view.js";

/** @import { Model } from "./config.js" */

// A card that offers the base model and disappears when it runs.
export function baseGate() {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Loading the base model" });
  const line = h("p", { class: "small" });
  const progress = h("div", { hidden: true }, bar, line);
  const { bytes } = /** @type {Model} */ (session.config.base);
  const start = button(`Load the base model (${readableBytes(bytes)})`, load,
    { class: "main load-base" });
  const card = h("div", { class: "card base-gate" }, h("h3", {}, "This comparison needs the base model too"),
    h("p", {}, "It is the model that the assistant was tuned from, in the same format. It runs beside "
      + "the tuned one and needs as much memory again."), start, progress);

  async function load() {
    session.set("loading");
    start.hidden = true;
    progress.hidden = false;
    try {
      await session.load("base", ({ share, label }) => {
        bar.value = share;
        line.textContent = `${label} – ${Math.floor(share * 100)} %`;
      });
    } catch (error) {
      const problem = explain(error);
      problem.kind = "message";
      showProblem(problem);
    }
    session.set("ready");
  }

  function update() {
    card.hidden = session.has("base") || !["ready", "loading"].includes(session.state) || !session.has("tuned");
    start.hidden = session.state === "loading";
    progress.hidden = session.state !== "loading";
  }
  session.addEventListener("state", update);
  update();
  return card;
}

export function bothReady() {
  return session.ready && session.has("base") && session.has("tuned");
}
