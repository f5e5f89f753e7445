import assert from "node:assert/strict";
import { test } from "node:test";

import { drift, repetition, similarity, summary } from "../../webslm/site/metrics.js";
import { csv } from "../../webslm/site/results.js";
import { spreadSeed } from "../../webslm/site/seed.js";
import { compare } from "../../webslm/site/selftest.js";

test("repetition is the share of four-word runs that were there before", () => {
  assert.equal(repetition("a b c d e"), 0);
  assert.equal(repetition("a b c"), 0);
  assert.equal(repetition("a b c d a b c d"), 1 - 4 / 5);
});

test("drift sees another script, not another language", () => {
  assert.equal(drift("bonjour", "hello"), 0);
  assert.equal(drift("ab кн", "hello"), 0.5);
  assert.equal(drift("", "hello"), 0);
});

test("similarity is ROUGE-L's F1 over words", () => {
  assert.equal(similarity("The cat sat", "the CAT sat"), 1);
  assert.equal(similarity("a b c d", "a x c y"), 0.5);
  assert.equal(similarity("a", "b"), 0);
});

test("means over no results are none", () => {
  assert.equal(summary([]).stopRate, null);
  const one = { stopped: true, repetition: 0.5, drift: 0, similarity: 1 };
  assert.deepEqual(summary([one, { ...one, stopped: false }]),
    { answers: 2, stopRate: 0.5, repetition: 0.5, drift: 0, similarity: 1 });
});

test("a text that a spreadsheet would run is quoted, numbers are not", () => {
  const row = /** @type {any} */ ({ question: '=1+1, "x"', sample: -1, text: "a\nb" });
  const [, line] = csv([row]).split("\r\n");
  assert.ok(line.startsWith(`"'=1+1, ""x""",`), line);
  assert.ok(line.includes(",-1,"), line);
  assert.ok(line.endsWith('"a\nb"'), line);
});

test("an answer is as recorded, or goes another way at a tie", () => {
  const recorded = { texts: ["a", "b"], gaps: [5, 0.001], stopped: true };
  assert.deepEqual(compare({ tokens: ["a", "b"], finish: "stop" }, recorded), { same: 2, of: 2, tie: false, ok: true });
  assert.equal(compare({ tokens: ["a", "b", "c"], finish: "length" }, recorded).ok, false);
  assert.deepEqual(compare({ tokens: ["a", "c"], finish: "stop" }, recorded), { same: 1, of: 2, tie: true, ok: true });
  assert.equal(compare({ tokens: ["c"], finish: "stop" }, recorded).ok, false);
});

test("neighbouring seeds are spread over 32 bits, each to another", () => {
  const spread = Array.from({ length: 1000 }, (_, seed) => spreadSeed(seed));
  assert.equal(new Set(spread).size, 1000);
  assert.ok(spread.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32));
});
