// Owns the tabs: which mode is shown, by click, arrow keys and address (#proof). A mode's module is
// loaded when its tab is first opened.

import { h } from "./dom.js";

// `modes`: [{ name, label, open }], where open(panel) fills it once and may return a promise.
export function showTabs(list, panels, modes, onOpen) {
  const entries = modes.map((mode) => entry(mode));
  list.replaceChildren(...entries.map(({ tab }) => tab));
  panels.replaceChildren(...entries.map(({ panel }) => panel));

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

  function move(event) {
    const at = entries.findIndex(({ tab }) => tab === event.target);
    const last = entries.length - 1;
    const next = {
      ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last,
    }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      entries[next].tab.focus();
      show(entries[next].name);
    }
  }

  window.addEventListener("hashchange", () => show(location.hash.slice(1)));
  return show(location.hash.slice(1));
}
