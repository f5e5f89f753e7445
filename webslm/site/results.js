// Owns the table and the files that compared answers end in.

import { h } from "./dom.js";
import { summary } from "./metrics.js";

/** @import { Measured } from "./metrics.js" */
/** @import { Which } from "./session.js" */

/**
 * One answer of the comparison.
 * @typedef {Measured & { question: string, trained: boolean, model: Which, sample: number, seed: number,
 *   finish: string | null, tokens: number | null, text: string }} Answer
 */

/** @type {["stopRate" | "repetition" | "drift" | "similarity", string, string][]} */
const MEASURES = [
  ["stopRate", "Stopped by itself", "Share of answers that ended before the limit. Higher is better."],
  ["repetition", "Repetition", "Share of four-word runs that were said before. Lower is better."],
  ["drift", "Language drift", "Share of letters in a script the question does not use. Lower is better."],
  ["similarity", "Similarity", "ROUGE-L with the reference answer: wording, not truth. Higher is nearer."],
];
/** @type {[boolean, Which, string][]} */
const GROUPS = [
  [true, "base", "Trained, base"], [true, "tuned", "Trained, fine-tune"],
  [false, "base", "Held out, base"], [false, "tuned", "Held out, fine-tune"],
];
/** @type {(keyof Answer)[]} */
const COLUMNS = ["question", "trained", "model", "sample", "seed", "finish", "tokens", "stopped",
  "repetition", "drift", "similarity", "text"];

/** @param {Answer[]} results */
export function summaryTable(results) {
  const rows = GROUPS.map(([trained, model, label]) => {
    const means = summary(results.filter((one) => one.trained === trained && one.model === model));
    return h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, means.answers),
      MEASURES.map(([name]) => h("td", {}, share(means[name]))));
  });
  return h("div", {}, h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Comparison table" },
    h("table", {}, h("caption", {}, "Means over the answers so far"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Questions, model"), h("th", { scope: "col" }, "Answers"),
        MEASURES.map(([, label]) => h("th", { scope: "col" }, label)))),
      h("tbody", {}, rows))),
  h("details", { class: "fold" }, h("summary", {}, "What the columns mean"),
    h("dl", {}, MEASURES.flatMap(([, label, meaning]) => [h("dt", {}, label), h("dd", {}, meaning)]))));
}

/** @param {number | null} value */
function share(value) {
  return value === null ? "–" : `${(value * 100).toFixed(0)} %`;
}

/**
 * One line per answer. A text that a spreadsheet would run as a formula is quoted by an apostrophe.
 * @param {Answer[]} results
 */
export function csv(results) {
  /** @param {string | number | boolean | null} value */
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [COLUMNS.join(","), ...results.map((one) => COLUMNS.map((name) => cell(one[name])).join(","))]
    .join("\r\n").concat("\r\n");
}
