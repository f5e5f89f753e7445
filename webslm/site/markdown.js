// Owns showing a model's text: Markdown to elements, and nothing else to anything.
// marked's lexer only names the parts; elements are made here one by one, so no text is ever
// parsed as HTML. Addresses stay text: a small model invents them, and a click would leave the page.

import { h } from "./dom.js";
import { lexer } from "./vendor/marked.js";

// Characters; marked's worst case at this length stays below a tenth of a second.
const LONGEST = 10000;
const DEEPEST = 12;
const MOST_ROWS = 100;
const MOST_COLUMNS = 20;
// Control characters, and those that turn the direction of text around.
const HIDDEN = /[\0-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F\u202A-\u202E\u2066-\u2069]/g;
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };

export function readable(text) {
  return text.replace(HIDDEN, "\uFFFD");
}

// Returns nodes for a text; a text too long or too deep comes back as it is.
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

const BLOCKS = {
  space: () => null,
  hr: () => h("hr"),
  code: ({ text }) => h("pre", { tabindex: 0 }, h("code", {}, text)),
  // Below the page's own headings, whatever the text says.
  heading: ({ tokens, depth }, deep) => h(`h${Math.min(6, depth + 3)}`, {}, inlines(tokens, deep)),
  paragraph: ({ tokens }, deep) => h("p", {}, inlines(tokens, deep)),
  blockquote: ({ tokens }, deep) => h("blockquote", {}, blocks(tokens, deep)),
  list: (token, deep) => {
    const start = token.ordered && token.start !== 1 ? token.start : null;
    return h(token.ordered ? "ol" : "ul", { start },
      token.items.map((item) => h("li", {}, blocks(item.tokens, deep))));
  },
  table,
  text: ({ tokens, text }, deep) => h("span", {}, tokens ? inlines(tokens, deep) : plain(text)),
};

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

function blocks(tokens, deep) {
  return build(BLOCKS, tokens, deep);
}

function inlines(tokens, deep) {
  return build(INLINES, tokens, deep);
}

// A part that is not listed, HTML above all, is shown as it was written.
function build(makers, tokens, deep) {
  return tokens
    .map((token) => (deep < DEEPEST && makers[token.type]
      ? makers[token.type](token, deep + 1) : token.raw))
    .filter((node) => node !== null);
}

function table({ header, rows, align }, deep) {
  const cells = (tag, row) => h("tr", {}, row.slice(0, MOST_COLUMNS).map((cell, index) => h(tag,
    { class: align[index] ? `to-${align[index]}` : null }, inlines(cell.tokens, deep))));
  const left = rows.length - MOST_ROWS;
  return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table" },
    h("table", {}, h("thead", {}, cells("th", header)),
      h("tbody", {}, rows.slice(0, MOST_ROWS).map((row) => cells("td", row)))),
    left > 0 ? h("p", { class: "small" }, `${left} more rows are not shown.`) : null);
}

function plain(text) {
  return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]);
}
