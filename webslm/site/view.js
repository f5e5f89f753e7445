// Owns what every mode shares on the page: the state shown, the gate, and the problem card.

import { byId } from "./dom.js";

/** @import { Problem } from "./problem.js" */
/** @import { State } from "./session.js" */

/** @type {Record<string, any>} */
export const elements = Object.fromEntries(
  ["status", "tabs", "panels", "gate", "load", "progress", "progress-bar", "progress-text",
    "problem", "problem-title", "problem-text", "problem-advice", "problem-details", "retry",
  ].map((id) => [id, byId(id)]),
);

/** @type {Record<State, string>} */
const STATUS = {
  starting: "Starting",
  idle: "Not loaded",
  loading: "Loading",
  ready: "Ready",
  answering: "Answering",
  failed: "Stopped",
  unsupported: "Not supported",
};

/**
 * @param {State} state
 * @param {boolean} started Whether the model has been loaded.
 */
export function showState(state, started) {
  elements.gate.hidden = started || !["starting", "idle", "loading"].includes(state);
  elements.status.textContent = STATUS[state];
  elements.load.disabled = state !== "idle";
  elements.load.hidden = state === "loading";
  elements.progress.hidden = state !== "loading";
}

/** @param {{ share: number, text: string }} progress */
export function showProgress({ share, text }) {
  elements["progress-bar"].value = share;
  elements["progress-text"].textContent = text;
}

/** @param {Problem} problem */
export function showProblem(problem) {
  elements.problem.hidden = false;
  elements["problem-title"].textContent = problem.title;
  elements["problem-text"].textContent = problem.text;
  elements["problem-advice"].textContent = problem.advice;
  elements["problem-details"].textContent = problem.details || problem.message;
  elements.retry.hidden = problem.kind === "unsupported" || problem.kind === "message";
  (elements.retry.hidden ? elements.problem : elements.retry).scrollIntoView({ block: "nearest" });
}

export function hideProblem() {
  elements.problem.hidden = true;
}
