// Owns the numbers that answers are compared by. Each is a plain function of texts.

const RUN = 4;
const SCRIPTS = ["Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil",
  "Thai", "Han", "Hiragana", "Katakana", "Hangul", "Georgian", "Armenian", "Ethiopic"];
/** @type {[string, RegExp][]} */
const TESTS = SCRIPTS.map((name) => [name, new RegExp(`\\p{Script=${name}}`, "u")]);

/**
 * Share of runs of four words that stood in the text before (1 - distinct / all); 0 to 1.
 * @param {string} text
 */
export function repetition(text) {
  const list = split(text);
  const runs = list.slice(RUN - 1).map((_, at) => list.slice(at, at + RUN).join(" "));
  return runs.length === 0 ? 0 : 1 - new Set(runs).size / runs.length;
}

/**
 * Share of letters in a script that `expected` does not use; 0 to 1. It sees Chinese in an English
 * answer, not French.
 * @param {string} text
 * @param {string} expected
 */
export function drift(text, expected) {
  const usual = new Set(letters(expected).map(script));
  const found = letters(text);
  const foreign = found.filter((letter) => !usual.has(script(letter)));
  return found.length === 0 ? 0 : foreign.length / found.length;
}

/**
 * ROUGE-L F1 over words without regard to case, as the build's own proof computes it; 0 to 1.
 * @param {string} text
 * @param {string} reference
 */
export function similarity(text, reference) {
  const [said, wanted] = [split(text), split(reference)];
  const common = commonLength(said, wanted);
  return common === 0 ? 0 : (2 * common) / (said.length + wanted.length);
}

/** @typedef {{ stopped: boolean, repetition: number, drift: number, similarity: number }} Measured */

/**
 * Means over results; null: there are none.
 * @param {Measured[]} results
 */
export function summary(results) {
  /** @param {(result: Measured) => number | boolean} value */
  const mean = (value) => (results.length === 0 ? null
    : results.reduce((sum, result) => sum + Number(value(result)), 0) / results.length);
  return {
    answers: results.length,
    stopRate: mean(({ stopped }) => stopped),
    repetition: mean((result) => result.repetition),
    drift: mean((result) => result.drift),
    similarity: mean((result) => result.similarity),
  };
}

/**
 * @param {string} text
 * @returns {string[]}
 */
function split(text) {
  return text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
}

/**
 * @param {string} text
 * @returns {string[]}
 */
function letters(text) {
  return text.match(/\p{L}/gu) ?? [];
}

/** @param {string} letter */
function script(letter) {
  return TESTS.find(([, test]) => test.test(letter))?.[0] ?? "other";
}

/**
 * @param {string[]} left
 * @param {string[]} right
 * @returns {number}
 */
function commonLength(left, right) {
  const row = new Array(right.length + 1).fill(0);
  for (const word of left) {
    let diagonal = 0;
    for (let at = 1; at <= right.length; at += 1) {
      const above = row[at];
      row[at] = word === right[at - 1] ? diagonal + 1 : Math.max(above, row[at - 1]);
      diagonal = above;
    }
  }
  return row[right.length];
}
