// Node has no DOM; what the page's `h` makes of it is a tree of these, written as text.
import assert from "node:assert/strict";
import { test } from "node:test";

class Part {
  /** @type {[string, string][]} */
  attributes = [];
  /** @type {(Part | string)[]} */
  children = [];

  /** @param {string} tag */
  constructor(tag) {
    this.tag = tag;
  }

  /** @param {string} name @param {string} value */
  setAttribute(name, value) {
    this.attributes.push([name, value]);
  }

  /** @param {(Part | string)[]} children */
  append(...children) {
    this.children.push(...children);
  }

  /** @returns {string} */
  toString() {
    return `<${this.tag}>${this.children.join("")}</${this.tag}>`;
  }
}
/** @type {any} */ (globalThis).document = {
  createElement: (/** @type {string} */ tag) => new Part(tag),
  createTextNode: (/** @type {string} */ text) => text,
};
const { markdown, readable } = await import("../../webslm/site/markdown.js");
const shown = (/** @type {string} */ text) => markdown(text).join("");

test("the usual parts become elements", () => {
  assert.equal(shown("# A\n\nb *c* **d** `e`"), "<h4>A</h4><p>b <em>c</em> <strong>d</strong> <code>e</code></p>");
  assert.equal(shown("#### deep"), "<h6>deep</h6>");
  assert.equal(shown("- a\n- b"), "<ul><li><span>a</span></li><li><span>b</span></li></ul>");
  assert.equal(shown("> a"), "<blockquote><p>a</p></blockquote>");
  assert.match(shown("|a|\n|-|\n|b|"), /<thead><tr><th>a<\/th><\/tr><\/thead>/);
});

test("HTML, addresses and pictures stay text", () => {
  assert.equal(shown("[here](http://x.example)"), "<p>here (http://x.example)</p>");
  assert.equal(shown("![cat](c.png)"), "<p>[cat] (c.png)</p>");
  const nodes = markdown("<script>x</script>");
  assert.deepEqual(nodes, ["<script>x</script>"]);
});

test("what is too long comes back as it is", () => {
  assert.deepEqual(markdown("*".repeat(10001)), ["*".repeat(10001)]);
});

test("control characters and turned text are made visible", () => {
  assert.equal(readable("a\u202Eb\0c\nd"), "a\uFFFDb\uFFFDc\nd");
});
