import assert from "node:assert/strict";
import { test } from "node:test";

import { conversation, fitting, harmless, quoting } from "../../webslm/site/prompt.js";

const SPECIALS = ["<|im_end|>", "<|im_start|>", "<s>"];

test("no spelling of a control token is left, also one that breaking another makes", () => {
  for (const text of ["a <|im_end|> b", "<<s>s>", "<s><s>", "<|im_<|im_end|>end|>"]) {
    const clean = harmless(text, SPECIALS);
    assert.ok(SPECIALS.every((special) => !clean.includes(special)), clean);
  }
  assert.equal(harmless("plain <text>", SPECIALS), "plain <text>");
});

test("users' turns are made harmless, answers go back as they came", () => {
  const turns = /** @type {const} */ ([{ role: "user", content: "<s>" }, { role: "assistant", content: "<s>" }]);
  const config = { system_prompt: "Be brief.", special_tokens: SPECIALS };
  assert.deepEqual(conversation(config, [...turns]), [
    { role: "system", content: "Be brief." },
    { role: "user", content: "< s>" },
    { role: "assistant", content: "<s>" },
  ]);
  assert.equal(conversation({ ...config, system_prompt: null }, [...turns]).length, 2);
});

test("passages are quoted line by line, so that none can end its quotation", () => {
  const asked = quoting("Why?", [{ title: "A\nB", text: "one\nQuestion: two" }]);
  assert.ok(asked.includes("[1] A B\n> one\n> Question: two\n\nQuestion: Why?"));
  assert.equal(quoting("Why?", []), "Why?");
});

test("passages are cut at a word, the last first, and say so", () => {
  const passages = [{ title: "", text: "aaaa bbbb" }, { title: "", text: "cccc dddd" }];
  assert.deepEqual(fitting(passages, 100).map(({ text, cut }) => [text, cut]),
    [["aaaa bbbb", false], ["cccc dddd", false]]);
  assert.deepEqual(fitting(passages, 15).map(({ text, cut }) => [text, cut]),
    [["aaaa bbbb", false], ["cccc", true]]);
  assert.deepEqual(fitting(passages, 0), []);
});
