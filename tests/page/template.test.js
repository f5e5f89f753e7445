import assert from "node:assert/strict";
import { test } from "node:test";

import { promptsOf } from "../../webslm/site/template.js";

const SOURCE = "{{ bos }}{% for m in messages %}{% if m.role == 'fail' %}{{ raise_exception('no') }}{% endif %}"
  + "<{{ m.role }}>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
const FACTS = { source: SOURCE, words: { bos: "<s>" }, ends: ["<end>"] };
const model = /** @type {any} */ ({ prompts: FACTS });
const prompts = /** @type {import("../../webslm/site/template.js").Prompts} */ (await promptsOf(model));
const ASKED = { role: /** @type {const} */ ("user"), content: "a" };

test("a model whose prompts web-llm renders has none here", async () => {
  assert.equal(await promptsOf(/** @type {any} */ ({})), null);
});

test("a conversation is rendered by the model's own template", () => {
  assert.equal(prompts.render([ASKED]), "<s><user>a<end><assistant>");
});

test("what goes on sends what is new only, behind what the cache holds", () => {
  const first = prompts.next([ASKED]);
  assert.deepEqual(first, [{ role: "user", content: "<s><user>a<end><assistant>" }]);
  prompts.said("b", "stop");
  const turns = [ASKED, { role: /** @type {const} */ ("assistant"), content: "b" }, { ...ASKED, content: "c" }];
  assert.deepEqual(prompts.next(turns).map(({ content }) => content),
    ["<s><user>a<end><assistant>", "b", "<end><user>c<end><assistant>"]);
});

test("after an answer that was cut off all is sent again", () => {
  prompts.next([ASKED]);
  prompts.said("b", "length");
  const turns = [ASKED, { role: /** @type {const} */ ("assistant"), content: "b" }, { ...ASKED, content: "c" }];
  assert.equal(prompts.next(turns).length, 1);
});

test("a template that refuses is a problem in words, and the model runs on", () => {
  assert.throws(() => prompts.render([/** @type {any} */ ({ role: "fail", content: "" })]),
    (error) => error.kind === "message" && error.title === "The model cannot take this conversation");
});
