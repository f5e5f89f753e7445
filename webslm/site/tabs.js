// Owns the tabs: which mode is shown, by click, arrow keys and address (#proof). A mode's module is
// loaded when its tab is first opened.

import { h } from "./dom.js";

/**
 * A mode of the page; `open(panel)` fills its panel once.
 * @typedef {{ name: string, label: string, open: (panel: HTMLElement) => Promise<void> }} Mode
 * @typedef {{ name: string, tab: HTMLElement, panel: HTMLElement, open: Mode["open"],
 *   filled: Promise<void> | null }} Entry
 */

/**
 * @param {HTMLElement} list
 * @param {HTMLElement} panels
 * @param {Mode[]} modes
 * @param {(name: string) => void} onOpen
 */
export function showTabs(list, panels, modes, onOpen) {
  const entries = modes.map((mode) => entry(mode));
  list.replaceChildren(...entries.map(({ tab }) => tab));
  panels.replaceChildren(...entries.map(({ panel }) => panel));

  /**
   * @param {Mode} mode
   * @returns {Entry}
   */
  function entry({ name, label, open }) {
    const panel = h("section", {
      id: `panel-${name}`, role: "tabpanel", class: "panel", "aria-labelledby": `tab-${name}`, hidden: true,
    });
    const tab = h("button", {
      id: `tab-${name}`, type: "button", role: "tab", "aria-controls": panel.id,
      onclick: () => show(name), onkeydown: move,
    }, label);
    return { name, tab, panel, open, filled: null };
  }

  /** @param {string} name */
  async function show(name) {
    const found = entries.find((other) => other.name === name) ?? entries[0];
    for (const other of entries) {
      const chosen = other === found;
      other.tab.setAttribute("aria-selected", String(chosen));
      other.tab.tabIndex = chosen ? 0 : -1;
      other.panel.hidden = !chosen;
    }
    found.tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    document.documentElement.dataset.mode = found.name;
    if (location.hash !== `#${found.name}`) {
      // With a base element a bare fragment would lead away from the page.
      window.history.replaceState(null, "", `${location.pathname}${location.search}#${found.name}`);
    }
    found.filled ??= found.open(found.panel);
    onOpen(found.name);
    await found.filled;
    found.panel.dataset.filled = "true";
  }

  /** @param {KeyboardEvent} event */
  function move(event) {
    const at = entries.findIndex(({ tab }) => tab === event.target);
    const last = entries.length - 1;
    /** @type {Record<string, number>} */
    const targets = {
      ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last,
    };
    const next = targets[event.key];
    if (next !== undefined) {
      event.preventDefault();
      entries[next].tab.focus();
      show(entries[next].name);
    }
  }

  window.addEventListener("hashchange", () => show(location.hash.slice(1)));
  return show(location.hash.slice(1));
}
