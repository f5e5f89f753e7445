// Owns how fast a download is and how long it still takes.

import { readableBytes, readableTime } from "./readable.js";

const WINDOW_MS = 5000;
const SETTLED_MS = 800;

/** @import { Progress } from "./engine.js" */

export class Meter {
  /** @type {{ at: number, done: number }[]} */
  #marks = [];

  /** @param {number} done */
  constructor(done, now = performance.now()) {
    this.#marks.push({ at: now, done });
  }

  /**
   * Bytes per second over the last seconds, and what is left at that speed.
   * @param {number} done
   * @param {number} total
   */
  measure(done, total, now = performance.now()) {
    this.#marks.push({ at: now, done });
    while (this.#marks.length > 2 && now - this.#marks[0].at > WINDOW_MS) {
      this.#marks.shift();
    }
    const [first] = this.#marks;
    if (now - first.at < SETTLED_MS || done <= first.done) {
      return { speed: null, seconds: null };
    }
    const speed = (1000 * (done - first.done)) / (now - first.at);
    return { speed, seconds: (total - done) / speed };
  }
}

/** @param {Progress} progress */
export function progressText({ share, label, done, total, speed, seconds }) {
  const size = total && done !== undefined ? `, ${readableBytes(done)} of ${readableBytes(total)}` : "";
  const pace = speed && seconds ? ` – ${readableBytes(speed)}/s, ${readableTime(seconds)} left` : "";
  return `${label}${size}${pace} – ${Math.floor(share * 100)} %`;
}
