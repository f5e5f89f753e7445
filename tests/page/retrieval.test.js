import assert from "node:assert/strict";
import { test } from "node:test";

import { index, passages, words } from "../../webslm/site/retrieval.js";

const ALL = ["Roses need water", "Tulips need sun and water", "Stones need nothing"]
  .map((text, at) => ({ title: `Page ${at}`, text, source: "shipped" }));

test("words are of three letters and more, in any script", () => {
  assert.deepEqual(words("Zürich is 12 Кошка!"), ["zürich", "кошка"]);
});

test("a text is split at blank lines into passages of at most 120 words", () => {
  const long = Array.from({ length: 250 }, (_, at) => `w${at}`).join(" ");
  const parts = passages("T", `short one\n\nshort two\n\n${long}`, "own");
  assert.deepEqual(parts.map(({ title }) => title), ["T, part 1", "T, part 2", "T, part 3", "T, part 4"]);
  assert.equal(parts[0].text, "short one short two");
  assert.ok(parts.every(({ text }) => text.split(" ").length <= 120));
  assert.equal(parts.flatMap(({ text }) => text.split(" ")).length, 254);
  assert.equal(passages("T", "one", "own")[0].title, "T");
});

test("both rankings put the passage with the rare word first and leave out those without any", () => {
  const ask = index(ALL);
  for (const method of /** @type {const} */ (["tfidf", "bm25"])) {
    const found = ask("tulips and water", method, 5, 0);
    assert.deepEqual(found.map(({ title }) => title), ["Page 1", "Page 0"]);
    assert.ok(found[0].score > found[1].score);
    assert.equal(ask("tulips and water", method, 1, 0).length, 1);
    assert.deepEqual(ask("gravel", method, 5, 0), []);
  }
});

test("a passage asked word by word has the cosine 1", () => {
  const [best] = index([{ title: "", text: "roses need water", source: "own" }])("roses need water", "tfidf", 1, 0);
  assert.ok(Math.abs(best.score - 1) < 1e-12);
});
