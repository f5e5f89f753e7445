// Owns making elements. Text goes in as text nodes only; nothing here parses HTML.

/**
 * An element that stands in index.html.
 * @param {string} id
 */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * What stands in an element; nothing for null and undefined.
 * @typedef {Node | string | number | null | undefined} Leaf
 * @typedef {Leaf | (Leaf | Leaf[])[]} Child
 */

/**
 * Attributes by name, listeners as on…; true is an empty attribute, false, null and undefined are none.
 * @typedef {{
 *   [name: string]: string | number | boolean | null | undefined | ((event: any) => unknown),
 *   onclick?: (event: MouseEvent) => unknown, oninput?: (event: Event) => unknown,
 *   onchange?: (event: Event) => unknown, onkeydown?: (event: KeyboardEvent) => unknown,
 *   onsubmit?: (event: SubmitEvent) => unknown, ondragover?: (event: DragEvent) => unknown,
 *   ondrop?: (event: DragEvent) => unknown,
 * }} Attributes
 */

/**
 * Makes an element.
 * @example h("button", { class: "main", onclick: run, disabled: true }, "Run")
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  const nodes = /** @type {(Node | string)[]} */ (children.flat(Infinity));
  element.append(...nodes.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * @param {string} text
 * @param {(event: MouseEvent) => unknown} onclick
 * @param {Attributes} [attributes]
 */
export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

let labels = 0;

/**
 * A labelled form control: label text, then the control, tied by an id.
 * @param {string} label
 * @param {HTMLElement} control
 */
export function field(label, control, hint = "") {
  labels += 1;
  control.id ||= `field-${labels}`;
  const note = hint ? h("span", { class: "small", id: `${control.id}-hint` }, hint) : null;
  if (note) {
    control.setAttribute("aria-describedby", note.id);
  }
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

/**
 * Offers a text as a file; made on the device, nothing is sent.
 * @param {string} name
 * @param {string} text
 */
export function save(name, text, type = "text/plain") {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
