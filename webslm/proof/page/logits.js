// Owns picking the best of a row of logits.

/** @typedef {[id: number, value: number][]} Best Largest first. */

/**
 * The `count` largest; the lower id wins a tie. A logit that is no number throws.
 * @param {Float32Array} logits
 * @param {number} count
 */
export function best(logits, count) {
  /** @type {Best} */
  const top = [];
  for (let id = 0; id < logits.length; id += 1) {
    const value = logits[id];
    if (!Number.isFinite(value)) {
      throw new Error(`logit ${id} is ${value}`);
    }
    if (top.length < count || value > top[top.length - 1][1]) {
      let at = top.length;
      while (at > 0 && value > top[at - 1][1]) {
        at -= 1;
      }
      top.splice(at, 0, [id, value]);
      top.length = Math.min(top.length, count);
    }
  }
  return top;
}
