// Owns the list of conversations that this device keeps: open, erase, save as files.

import { button, h, save } from "./dom.js";
import { erase, eraseAll, keep, readAll } from "./history.js";
import { conversation } from "./prompt.js";

const TITLE_LENGTH = 60;

/** @import { Config } from "./config.js" */
/** @import { Conversation } from "./history.js" */
/** @import { Turn } from "./prompt.js" */

export class Kept {
  /**
   * `open(kept)` shows a kept conversation, or an empty one for null; `current()` is the one shown.
   * @param {Config} config
   * @param {{ open: (kept: Conversation | null) => void, current: () => { id: string, turns: Turn[] } }} page
   */
  constructor(config, { open, current }) {
    this.config = config;
    this.open = open;
    this.current = current;
    this.list = h("ul", { class: "kept" });
    this.note = h("p", { class: "small" });
    this.eraseAll = button("Erase all conversations", () => this.#eraseAll(), { id: "erase-all", class: "quiet" });
    this.saves = [
      button("Save as text", () => this.#saveText(), { class: "quiet" }),
      button("Save as JSONL", () => this.#saveRow(), { class: "quiet" }),
    ];
  }

  parts() {
    return [this.note, this.list, h("div", { class: "row" }, this.saves, this.eraseAll)];
  }

  /** @param {boolean} answering */
  update(answering) {
    for (const control of [this.eraseAll, ...this.list.querySelectorAll("button")]) {
      control.disabled = answering;
    }
    for (const control of this.saves) {
      control.disabled = answering || this.current().turns.length === 0;
    }
  }

  async keep() {
    const { id, turns } = this.current();
    const title = turns[0].content.slice(0, TITLE_LENGTH);
    // A browser that keeps nothing must not stop the conversation.
    await keep({ id, title, changed: Date.now(), turns }).catch(() => {});
    await this.show();
  }

  async show() {
    const all = await readAll().catch(() => null);
    this.note.textContent = all === null ? "This browser keeps no conversations here."
      : all.length === 0 ? "None yet. They are kept in this browser only."
        : "Kept in this browser only, until you erase them.";
    this.eraseAll.hidden = !all?.length;
    this.list.replaceChildren(...(all ?? []).map((one) => h("li", {},
      button(one.title, () => this.open(one), { class: "link" }),
      button("Erase", () => this.#erase(one.id), { class: "quiet", "aria-label": `Erase: ${one.title}` }))));
  }

  /** @param {string} id */
  async #erase(id) {
    await erase(id);
    if (id === this.current().id) {
      this.open(null);
    }
    await this.show();
  }

  async #eraseAll() {
    await eraseAll();
    this.open(null);
    await this.show();
  }

  // The form of a training row, so that a corrected conversation can be learnt from.
  #saveRow() {
    const messages = conversation({ ...this.config, special_tokens: [] }, this.current().turns);
    save(`${this.config.name}-conversation.jsonl`, `${JSON.stringify({ messages })}\n`, "application/jsonl");
  }

  #saveText() {
    const { title, disclaimer, name } = this.config;
    const names = { user: "You", assistant: title };
    const text = this.current().turns.map(({ role, content }) => `**${names[role]}**\n\n${content}\n`).join("\n");
    save(`${name}-conversation.md`, `# ${title}\n\n${disclaimer}\n\n${text}`, "text/markdown");
  }
}
