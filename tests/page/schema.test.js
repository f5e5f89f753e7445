import assert from "node:assert/strict";
import { test } from "node:test";

import { KINDS, STARTER, complaint, toFields, toSchema } from "../../webslm/site/schema.js";

/** @type {import("../../webslm/site/schema.js").Field[]} */
const FIELDS = [
  { name: "answer", kind: "text", choices: [] }, { name: "count", kind: "number", choices: [] },
  { name: "sure", kind: "boolean", choices: [] }, { name: "tone", kind: "choice", choices: ["dry", "warm"] },
];

test("fields survive the way to a schema and back, every kind of them", () => {
  assert.deepEqual(FIELDS.map(({ kind }) => kind), Object.keys(KINDS));
  assert.deepEqual(toFields(toSchema(FIELDS)), FIELDS);
  assert.deepEqual(toFields(STARTER)?.map(({ name }) => name), ["answer", "certain"]);
});

test("a schema richer than the form has no fields", () => {
  assert.equal(toFields({ type: "object", properties: { list: { type: "array" } } }), null);
  assert.equal(toFields({ type: "object" }), null);
  assert.equal(toFields(null), null);
});

test("what is wrong with a schema is one sentence", () => {
  assert.equal(complaint(JSON.stringify(toSchema(FIELDS))), "");
  assert.match(complaint("{"), /^This is not JSON: /);
  assert.match(complaint("[]"), /must describe an object/);
  assert.match(complaint('{"type": "object"}'), /has no properties/);
});
