// Owns picking the best of a row of logits.

// The `count` largest as [id, value], largest first; the lower id wins a tie. A logit that is no number throws.
export function best(logits, count) {
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
