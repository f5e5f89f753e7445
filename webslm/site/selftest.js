// Owns the device test: does this browser compute the tokens that the build recorded?

import { session } from "./session.js";

/** @import { ChatCompletionMessageParam } from "./vendor/web-llm.js" */

/**
 * An answer as the build recorded it, token by token.
 * @typedef {object} Recorded
 * @property {ChatCompletionMessageParam[]} messages
 * @property {string[]} texts
 * @property {number[]} gaps Between the best token and the next one, in logits.
 * @property {boolean} stopped
 */

/** @typedef {{ same: number, of: number, tie: boolean, ok: boolean }} Compared */

/** @typedef {Compared & { question: string, expected: string, seen: string, seconds: number }} Result */

// Two tokens closer than this in the reference may rightly change places on another chip.
const TIE_GAP = 0.01;

/**
 * Returns how far an answer follows the recorded one.
 * @param {{ tokens: string[], finish: string | null }} seen
 * @param {Pick<Recorded, "texts" | "gaps" | "stopped">} recorded
 * @returns {Compared}
 */
export function compare(seen, recorded) {
  const { texts, gaps, stopped } = recorded;
  let same = 0;
  while (same < texts.length && seen.tokens[same] === texts[same]) {
    same += 1;
  }
  const whole = same === texts.length;
  const tie = !whole && gaps[same] < TIE_GAP;
  return { same, of: texts.length, tie, ok: tie || (whole && (!stopped || seen.finish === "stop")) };
}

/**
 * Asks every recorded prompt greedily; calls onResult after each, returns all.
 * @param {{ num_tokens: number, answers: Recorded[] }} golden
 * @param {(result: Result) => void} onResult
 */
export async function selfTest({ num_tokens: length, answers }, onResult) {
  /** @type {Result[]} */
  const results = [];
  for (const recorded of answers) {
    const decoding = { temperature: 0, top_p: 1, repetition_penalty: 1, max_tokens: length, seed: 0 };
    const began = performance.now();
    const seen = await session.complete("tuned", recorded.messages, decoding);
    const result = {
      question: String(recorded.messages.at(-1)?.content),
      expected: recorded.texts.join(""),
      seen: seen.tokens.slice(0, recorded.texts.length).join(""),
      seconds: Number(((performance.now() - began) / 1000).toFixed(2)),
      ...compare(seen, recorded),
    };
    results.push(result);
    onResult(result);
    if (session.interrupted) {
      break;
    }
  }
  return results;
}
