// Owns the start: configuration, support, tabs, and loading the model; the modes do the rest.

import { readConfig } from "./config.js";
import { forget, isDownloaded } from "./download.js";
import { explain } from "./problem.js";
import { progressText } from "./progress.js";
import { readableBytes } from "./readable.js";
import { session } from "./session.js";
import { agreeToDownload, checkSupport } from "./support.js";
import { showTabs } from "./tabs.js";
import { elements, hideProblem, showProblem, showProgress, showState } from "./view.js";

/** @import { Progress } from "./engine.js" */
/** @import { Problem } from "./problem.js" */

/** @type {Record<string, string>} */
const LABELS = {
  chat: "Chat",
  proof: "Base or fine-tune?",
  product: "Documents or fine-tune?",
  structured: "Structured answers",
  about: "About",
};

async function start() {
  session.set("starting");
  hideProblem();
  try {
    const first = session.config === null;
    session.config ??= await readConfig(new URL(location.href).searchParams.get("library"));
    // Before the tabs, or the verdict would push them down; with or without it there is much to read.
    const lack = await checkSupport(session.config.model).then(() => null, (error) => error);
    if (first) {
      await openTabs();
    }
    if (lack !== null) {
      throw lack;
    }
    await offerLoad();
  } catch (error) {
    fail(explain(error));
  }
}

async function openTabs() {
  const names = [...session.config.modes, "about"];
  const modes = names.map((name) => ({
    name,
    label: LABELS[name],
    open: async (/** @type {HTMLElement} */ panel) => {
      try {
        const { fill } = await import(`./modes/${name}.js`);
        await fill(panel, { forgetModel });
      } catch (error) {
        showProblem(explain(error));
      }
    },
  }));
  await showTabs(elements.tabs, elements.panels, modes, () => {
    // A problem belongs to the tab it came up in, unless nothing works without an answer to it.
    if (session.ready) {
      hideProblem();
    }
  });
}

async function offerLoad() {
  const { model } = session.config;
  const kept = await isDownloaded(model);
  elements.load.textContent = kept ? "Start the model" : `Load the model (${readableBytes(model.bytes)})`;
  session.set("idle");
}

async function load() {
  if (!(await agreeToDownload(session.config.model))) {
    return;
  }
  hideProblem();
  session.set("loading");
  const began = performance.now();
  try {
    await session.load("tuned", progressLine(showProgress));
    document.documentElement.dataset.loadSeconds = ((performance.now() - began) / 1000).toFixed(2);
    session.set("ready");
    /** @type {HTMLElement | null} */ (document.querySelector("#panel-chat:not([hidden]) #input"))?.focus();
    // Tidying up never fails a load.
    await forget(ownModels(), { keepCurrent: true }).catch(() => {});
  } catch (error) {
    fail(explain(error));
  }
}

/** @param {(shown: { share: number, text: string }) => void} show */
function progressLine(show) {
  return (/** @type {Progress} */ state) => show({ share: state.share, text: progressText(state) });
}

/** @param {Problem} problem */
function fail(problem) {
  session.dispose();
  session.set(problem.kind === "message" ? "failed" : problem.kind);
  showProblem(problem);
}

function ownModels() {
  const { model, base } = session.config;
  return base ? [model, base] : [model];
}

async function forgetModel() {
  session.dispose();
  await forget(ownModels());
  await start();
}

session.addEventListener("state", () => {
  showState(session.state, session.has("tuned"));
  if (session.state === "answering") {
    hideProblem();
  }
});
session.addEventListener("problem", (event) => showProblem(/** @type {CustomEvent} */ (event).detail));
elements.load.addEventListener("click", load);
elements.retry.addEventListener("click", () => (session.config ? load() : start()));

await start();
