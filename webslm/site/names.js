// Owns the names by which others read this page: the build's proof (webslm/proof/page_names.py says the
// same) and whoever tests or scripts it. Changing one breaks them.

/** Elements, by what they are for. */
export const IDS = /** @type {const} */ ({
  load: "load",
  stop: "stop",
  input: "input",
  log: "log",
  questions: "questions",
  problemTitle: "problem-title",
  problemText: "problem-text",
  problemDetails: "problem-details",
});

/** Keys of `dataset`: the first two of the document's element, the others of an answer. */
export const DATA = /** @type {const} */ ({
  state: "state",
  loadSeconds: "loadSeconds",
  finish: "finish",
  firstPieceSeconds: "firstPieceSeconds",
  tokensPerSecond: "tokensPerSecond",
});

/** What the page can be doing. */
export const STATES = /** @type {const} */ (
  ["starting", "idle", "loading", "ready", "answering", "failed", "unsupported"]);

/** The state of an answer before its first piece. */
export const WAITING = "waiting";

/** web-llm's handler in the worker. */
export const HANDLER = "webslmHandler";
