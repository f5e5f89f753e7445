// Owns showing a model's text: Markdown to elements, and nothing else to anything.
// marked's lexer only names the parts; elements are made here one by one, so no text is ever
// parsed as HTML. Addresses stay text: a small model invents them, and a click would leave the page.

import { h } from "./dom.js";
import { lexer } from "./vendor/marked.js";

/** @import { Token, Tokens } from "./vendor/marked.js" */

/**
 * What an element is made of; null: nothing.
 * @typedef {Node | string | null} Part
 * @typedef {Record<string, (token: any, deep: number) => Part>} Makers By marked's names of tokens.
 */

// Characters; marked's worst case at this length stays below a tenth of a second.
const LONGEST = 10000;
const DEEPEST = 12;
const MOST_ROWS = 100;
const MOST_COLUMNS = 20;
// Below the page's own headings, whatever the text says.
const HEADINGS = /** @type {const} */ (["h4", "h5", "h6"]);
// Control characters, and those that turn the direction of text around.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const HIDDEN = /[\0-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F\u202A-\u202E\u2066-\u2069]/g;
/** @type {Record<string, string>} */
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };

/** @param {string} text */
export function readable(text) {
  return text.replace(HIDDEN, "\uFFFD");
}

/**
 * Returns nodes for a text; a text too long or too deep comes back as it is.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function markdown(text) {
  const clean = readable(text);
  if (clean.length > LONGEST) {
    return [document.createTextNode(clean)];
  }
  try {
    return blocks(lexer(clean, { gfm: true, breaks: true }), 0);
  } catch {
    return [document.createTextNode(clean)];
  }
}

/** @type {Makers} */
const BLOCKS = {
  space: () => null,
  hr: () => h("hr"),
  code: ({ text }) => h("pre", { tabindex: 0 }, h("code", {}, text)),
  heading: ({ tokens, depth }, deep) => h(HEADINGS[Math.min(HEADINGS.length, depth) - 1], {}, inlines(tokens, deep)),
  paragraph: ({ tokens }, deep) => h("p", {}, inlines(tokens, deep)),
  blockquote: ({ tokens }, deep) => h("blockquote", {}, blocks(tokens, deep)),
  list: (token, deep) => {
    const start = token.ordered && token.start !== 1 ? token.start : null;
    return h(token.ordered ? "ol" : "ul", { start },
      token.items.map((/** @type {Tokens.ListItem} */ item) => h("li", {}, blocks(item.tokens, deep))));
  },
  table,
  text: ({ tokens, text }, deep) => h("span", {}, tokens ? inlines(tokens, deep) : plain(text)),
};

/** @type {Makers} */
const INLINES = {
  strong: ({ tokens }, deep) => h("strong", {}, inlines(tokens, deep)),
  em: ({ tokens }, deep) => h("em", {}, inlines(tokens, deep)),
  del: ({ tokens }, deep) => h("del", {}, inlines(tokens, deep)),
  codespan: ({ text }) => h("code", {}, plain(text)),
  br: () => h("br"),
  link: ({ text, href }) => (text === href ? plain(text) : `${plain(text)} (${href})`),
  image: ({ text, href }) => `[${plain(text)}] (${href})`,
  escape: ({ text }) => plain(text),
  text: ({ text }) => plain(text),
};

/** @type {(tokens: Token[], deep: number) => (Node | string)[]} */
function blocks(tokens, deep) {
  return build(BLOCKS, tokens, deep);
}

/** @type {(tokens: Token[], deep: number) => (Node | string)[]} */
function inlines(tokens, deep) {
  return build(INLINES, tokens, deep);
}

/**
 * A part that is not listed, HTML above all, is shown as it was written.
 * @param {Makers} makers
 * @param {Token[]} tokens
 * @param {number} deep
 * @returns {(Node | string)[]}
 */
function build(makers, tokens, deep) {
  return tokens
    .map((token) => (deep < DEEPEST && makers[token.type]
      ? makers[token.type](token, deep + 1) : token.raw))
    .filter((part) => part !== null);
}

/**
 * @param {Tokens.Table} token
 * @param {number} deep
 */
function table({ header, rows, align }, deep) {
  /** @type {(tag: "td" | "th", row: Tokens.TableCell[]) => HTMLElement} */
  const cells = (tag, row) => h("tr", {}, row.slice(0, MOST_COLUMNS).map((cell, index) => h(tag,
    { class: align[index] ? `to-${align[index]}` : null }, inlines(cell.tokens, deep))));
  const left = rows.length - MOST_ROWS;
  return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table" },
    h("table", {}, h("thead", {}, cells("th", header)),
      h("tbody", {}, rows.slice(0, MOST_ROWS).map((row) => cells("td", row)))),
    left > 0 ? h("p", { class: "small" }, `${left} more rows are not shown.`) : null);
}

/** @param {string} text */
function plain(text) {
  return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]);
}
