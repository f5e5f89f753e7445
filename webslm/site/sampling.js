// Owns how answers are sampled: the recipe's defaults, the panel that changes them, and warnings
// about settings that are known to loop or to drift.

import { button, field, h } from "./dom.js";

/** @import { Decoding } from "./config.js" */

/** @type {[keyof Decoding, string, Record<string, number>, string][]} */
const FIELDS = [
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.05 }, "0 always takes the likeliest word."],
  ["top_p", "Top p", { min: 0.05, max: 1, step: 0.05 }, "Share of likely words to choose from."],
  ["repetition_penalty", "Repetition penalty", { min: 0.5, max: 2, step: 0.05 }, "1 is none."],
  ["max_tokens", "Longest answer, in tokens", { min: 1, step: 1 }, ""],
  ["seed", "Seed", { min: 0, max: 4294967295, step: 1 }, "Empty: another answer each time."],
];
/** @type {[(decoding: Required<Decoding>) => boolean, string][]} */
const RULES = [
  [({ temperature }) => temperature < 0.3,
    "At a temperature this low small models tend to repeat themselves until the limit."],
  [({ repetition_penalty: penalty }) => penalty > 1.15,
    "A repetition penalty this strong can push a small model into another language."],
  [({ repetition_penalty: penalty }) => penalty < 1,
    "A repetition penalty below 1 rewards repeating."],
  [({ temperature }) => temperature > 1.1,
    "At a temperature this high answers tend to lose their thread."],
  [({ temperature, top_p: share }) => temperature >= 0.9 && share > 0.95,
    "With hardly any word excluded, unlikely ones will come up: lower top p."],
];

/**
 * Returns sentences about a decoding; none when it is known to be fine.
 * @param {Required<Decoding>} decoding
 */
export function warnings(decoding) {
  return RULES.filter(([applies]) => applies(decoding)).map(([, text]) => text);
}

/**
 * Returns a panel that starts with the recipe's values, and what it says.
 * @param {Required<Decoding>} defaults
 * @param {number} contextTokens
 */
export function samplingPanel(defaults, contextTokens) {
  const inputs = /** @type {Record<keyof Decoding, HTMLInputElement>} */ (Object.fromEntries(FIELDS.map(([name, , limits]) => [name,
    h("input", { type: "number", name, inputmode: "decimal", ...limits, oninput: check })])));
  inputs.max_tokens.max = String(contextTokens - 1);
  const notes = h("ul", { class: "warnings" });

  function reset() {
    for (const [name] of FIELDS) {
      inputs[name].value = String(defaults[name] ?? "");
    }
    check();
  }

  function decoding() {
    const values = { ...defaults };
    for (const [name] of FIELDS) {
      const input = inputs[name];
      if (name === "seed" && input.value === "") {
        values.seed = null;
      } else if (input.value !== "" && input.checkValidity()) {
        values[name] = input.valueAsNumber;
      }
    }
    return values;
  }

  function check() {
    const wrong = Object.values(inputs).filter((input) => !input.checkValidity());
    notes.replaceChildren(...[
      ...wrong.map((input) => `“${input.value}” is not allowed there; the default is used.`),
      ...warnings(decoding()),
    ].map((text) => h("li", {}, text)));
  }

  const element = h("div", { class: "sampling" },
    h("div", { class: "fields" }, FIELDS.map(([name, label, , hint]) => field(label, inputs[name], hint))),
    h("div", { role: "status" }, notes),
    button("Back to the recipe's values", reset, { class: "quiet" }));
  reset();
  return { element, decoding };
}
