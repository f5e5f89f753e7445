// Owns the device test: does this browser compute the tokens that the build recorded?

import { session } from "./session.js";

// Two tokens closer than this in the reference may rightly change places on another chip.
const TIE_GAP = 0.01;

// Returns how far an answer follows the recorded one: { same, of, tie, ok }.
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

// Asks every recorded prompt greedily; calls onResult(result) after each, returns all.
export async function selfTest({ num_tokens: length, answers }, onResult) {
  const results = [];
  for (const recorded of answers) {
    const decoding = { temperature: 0, top_p: 1, repetition_penalty: 1, max_tokens: length, seed: 0 };
    const began = performance.now();
    const seen = await session.complete("tuned", recorded.messages, decoding);
    results.push({
      question: recorded.messages.at(-1).content,
      expected: recorded.texts.join(""),
      seen: seen.tokens.slice(0, recorded.texts.length).join(""),
      seconds: Number(((performance.now() - began) / 1000).toFixed(2)),
      ...compare(seen, recorded),
    });
    onResult(results.at(-1));
    if (session.interrupted) {
      break;
    }
  }
  return results;
}
