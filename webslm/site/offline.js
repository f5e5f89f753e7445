// Owns the service worker's start, the offer of a new build, and what is kept for offline use.

import { SITE } from "./config.js";
import { byId } from "./dom.js";
import { readableBytes } from "./readable.js";
import { missingBytes, usedBytes } from "./storage.js";

/** @import { Model } from "./config.js" */

const LOOK_AGAIN_MS = 3_600_000;
const root = document.documentElement;
let looked = Date.now();

async function start() {
  if (!navigator.serviceWorker) {
    root.dataset.offline = "unavailable";
    return;
  }
  let controlled = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    root.dataset.offline = "ready";
    if (controlled) {
      offerUpdate();
    }
    controlled = true;
  });
  const registration = await navigator.serviceWorker.register(new URL("sw.js", SITE),
    { scope: SITE, updateViaCache: "none" });
  await navigator.serviceWorker.ready;
  if (navigator.serviceWorker.controller) {
    root.dataset.offline = "ready";
  }
  const look = () => registration.update().catch(() => {});
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && Date.now() - looked > LOOK_AGAIN_MS) {
      looked = Date.now();
      look();
    }
  });
  // A file that is gone from the server means most often that there is a new build.
  new MutationObserver(() => root.dataset.state === "failed" && look())
    .observe(root, { attributeFilter: ["data-state"] });
}

// Shown, never done unasked: a reload would end a conversation.
function offerUpdate() {
  byId("update").hidden = false;
  byId("update-now").onclick = () => location.reload();
}

/**
 * Fills a line that tells what is kept here.
 * @param {HTMLElement} line
 * @param {Model} current The model that this page uses.
 */
export async function describeStorage(line, current) {
  const { model, app } = await usedBytes();
  const whole = (await missingBytes(current)) === 0;
  const persisted = await navigator.storage?.persisted?.().catch(() => false);
  line.textContent = `Kept in this browser: ${readableBytes(model)} of model, ${readableBytes(app)} of page`
    + (root.dataset.offline === "ready" && whole ? "; both work without a network." : ".")
    + (persisted ? "" : " The browser may remove them when space runs short.");
}

if (document.readyState !== "complete") {
  // What the visitor waits for comes first.
  await new Promise((resolve) => { addEventListener("load", resolve, { once: true }); });
}
await start().catch((error) => {
  root.dataset.offline = "unavailable";
  root.dataset.offlineReason = String(error);
});
