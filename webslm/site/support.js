// Owns the device check on the page: runs it, shows the verdict, and stops what cannot work.

import { inspectDevice, isMetered } from "./device.js";
import { byId } from "./dom.js";
import { deviceReport, judge } from "./judge.js";
import { Problem } from "./problem.js";
import { readableBytes } from "./readable.js";
import { missingBytes, wasHere } from "./storage.js";

// Downloads below this are not worth a question, whatever the connection.
const ASK_ABOVE_BYTES = 10e6;
const MARKS = { good: "✓", warn: "!", stop: "✕" };
const SAID = { good: "fine", warn: "warning", stop: "problem" };

/** @import { Model } from "./config.js" */
/** @import { Check, Verdict } from "./judge.js" */

/**
 * @param {Model} model
 * @throws {Problem} The model cannot run here.
 */
export async function checkSupport(model) {
  const device = await inspectDevice();
  const missing = device.lacking.includes("caches") ? model.bytes : await missingBytes(model);
  const verdict = judge(device, model, { missing, evicted: missing > 0 && wasHere(model) });
  show(verdict, deviceReport(device, model, verdict));
  if (verdict.level === "stop") {
    const { title, text, advice } = verdict;
    throw new Problem({ kind: "unsupported", title, text, advice, details: deviceReport(device, model, verdict) });
  }
}

/**
 * Resolves to false when the visitor does not want to spend a metered connection on it.
 * @param {Model} model
 * @returns {Promise<boolean>}
 */
export async function agreeToDownload(model) {
  const { connection } = await inspectDevice();
  const missing = await missingBytes(model);
  if (missing < ASK_ABOVE_BYTES || !isMetered(connection)) {
    return true;
  }
  const dialog = /** @type {HTMLDialogElement} */ (byId("metered"));
  byId("metered-text").textContent = `The model still needs ${readableBytes(missing)}. Your browser says that this `
    + `connection ${connection.save_data ? "should save data" : "is a mobile one"}, so it may cost money.`;
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "go"), { once: true });
    byId("metered-go").onclick = () => dialog.close("go");
    byId("metered-wait").onclick = () => dialog.close("wait");
    dialog.returnValue = "wait";
    dialog.showModal();
  });
}

/**
 * @param {Verdict} verdict
 * @param {string} report
 */
function show({ level, title, text, advice, checks }, report) {
  const panel = byId("preflight");
  panel.dataset.level = level;
  panel.hidden = false;
  // What stops the page is told by the problem card.
  byId("preflight-title").textContent = level === "stop" ? "What was checked" : title;
  byId("preflight-text").textContent = level === "stop" ? "" : [text, advice].filter(Boolean).join(" ");
  byId("preflight-checks").replaceChildren(...checks.map(row));
  byId("preflight-report").textContent = report;
  byId("copy-report").onclick = () => copy(report);
}

/** @param {Check} check */
function row({ name, level, text }) {
  const item = document.createElement("li");
  item.dataset.level = level;
  const mark = document.createElement("span");
  mark.className = "mark";
  mark.textContent = MARKS[level];
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", SAID[level]);
  const words = document.createElement("span");
  words.textContent = `${name}: ${text}`;
  item.append(mark, words);
  return item;
}

/** @param {string} report */
async function copy(report) {
  const button = byId("copy-report");
  try {
    await navigator.clipboard.writeText(report);
    button.textContent = "Copied";
  } catch {
    // Some browsers forbid it: then the text is marked, ready for the keyboard.
    getSelection()?.selectAllChildren(byId("preflight-report"));
    button.textContent = "Marked below: copy it with the keyboard";
  }
}
