// Owns structured answers: a JSON Schema holds the model to its form, token by token.

import { button, field, h, save } from "../dom.js";
import { readable } from "../markdown.js";
import { conversation } from "../prompt.js";
import { KINDS, STARTER, complaint, toFields, toSchema } from "../schema.js";
import { session } from "../session.js";

/** @import { Field, Kind } from "../schema.js" */

// Between values JSON allows white space without end, and a small model may never leave it.
/** @param {number[]} tokens */
const unlikely = (tokens) => Object.fromEntries(tokens.map((id) => [id, -100]));

/** @param {HTMLElement} panel */
export function fill(panel) {
  const mode = new Structured();
  panel.replaceChildren(...mode.parts());
  mode.update();
}

class Structured {
  #said = "";

  constructor() {
    const { answer_schema: given, questions } = session.config;
    const schema = Object.keys(given).length > 0 ? given : STARTER;
    this.input = h("textarea", { id: "structured-input", rows: 2, oninput: () => this.update() });
    this.input.value = questions[0]?.text ?? "";
    this.rows = h("ul", { class: "schema-rows" });
    this.text = h("textarea", { id: "schema", rows: 10, spellcheck: "false", class: "code",
      oninput: () => this.#fromText() });
    this.text.value = JSON.stringify(schema, null, 2);
    this.wrong = h("p", { class: "small wrong", role: "status" });
    this.run = button("Answer in this form", () => this.#run(), { id: "structured-run", class: "main" });
    this.stop = button("Stop", () => session.interrupt(), { id: "structured-stop", class: "main", hidden: true });
    this.result = h("div", { id: "structured-result", "aria-live": "polite" });
    session.addEventListener("state", () => this.update());
    this.#fromText();
  }

  parts() {
    return [
      h("h2", {}, "Answers that a program can read"),
      h("p", {}, "The model may only say what fits the form below, so a finished answer is always valid JSON. The form says nothing "
        + "about whether it is true."),
      h("div", { class: "card" }, field("Question", this.input),
        h("h3", {}, "Form of the answer"), this.rows,
        button("Add a field", () => this.#addRow(), { class: "quiet" }),
        h("details", { class: "fold" }, h("summary", {}, "As JSON Schema"), field("JSON Schema", this.text)),
        this.wrong, h("div", { class: "row" }, this.run, this.stop)),
      this.result,
    ];
  }

  update() {
    const answering = session.state === "answering";
    const wrong = complaint(this.text.value);
    this.wrong.textContent = wrong;
    this.run.disabled = !session.ready || wrong !== "" || !this.input.value.trim();
    this.run.hidden = answering;
    this.stop.hidden = !answering;
  }

  #fromText() {
    const fields = complaint(this.text.value) === "" ? toFields(JSON.parse(this.text.value)) : [];
    this.rows.replaceChildren(...(fields ?? []).map((one) => this.#row(one)));
    if (fields === null) {
      this.rows.append(h("li", { class: "small" }, "This schema is richer than the form; change it as JSON Schema below."));
    }
    this.update();
  }

  /** @param {Field} field */
  #row({ name, kind, choices }) {
    const change = () => this.#fromRows();
    const title = h("input", { type: "text", "aria-label": "Name", oninput: change });
    title.value = name;
    const kinds = h("select", { "aria-label": "Kind", onchange: () => { show(); change(); } },
      Object.entries(KINDS).map(([value, { label }]) => h("option", { value }, label)));
    kinds.value = kind;
    const options = h("input", { type: "text", "aria-label": "Choices, separated by commas", oninput: change });
    options.value = choices.join(", ");
    const show = () => { options.hidden = kinds.value !== "choice"; };
    show();
    const row = h("li", { class: "schema-row" }, title, kinds, options,
      button("Remove", () => { row.remove(); change(); }, { class: "quiet", "aria-label": "Remove this field" }));
    return row;
  }

  #addRow() {
    const row = this.#row({ name: `field_${this.rows.childElementCount + 1}`, kind: "text", choices: [] });
    this.rows.append(row);
    row.querySelector("input")?.select();
    this.#fromRows();
  }

  #fromRows() {
    const fields = [...this.rows.querySelectorAll(".schema-row")].map((row) => {
      const [name, choices] = row.querySelectorAll("input");
      return {
        name: name.value.trim(), kind: /** @type {Kind} */ (row.querySelector("select")?.value),
        choices: choices.value.split(",").map((choice) => choice.trim()).filter(Boolean),
      };
    });
    const usable = fields.filter(({ name, kind, choices }) => name && (kind !== "choice" || choices.length > 0));
    this.text.value = JSON.stringify(toSchema(usable), null, 2);
    this.update();
  }

  async #run() {
    const { config } = session;
    const messages = conversation(config, [{ role: "user", content: this.input.value.trim() }]);
    const schema = JSON.stringify(JSON.parse(this.text.value));
    const raw = h("pre", { class: "card", tabindex: 0 });
    this.result.replaceChildren(raw);
    this.#said = "";
    delete this.result.dataset.valid;
    await session.busy(async () => {
      const options = { response_format: { type: "json_object", schema }, logit_bias: unlikely(config.blank_tokens) };
      for await (const { text, finish } of session.answer("tuned", messages, config.decoding, options)) {
        if (text !== undefined) {
          this.#said += text;
          raw.textContent = readable(this.#said);
        } else {
          this.#show(finish);
        }
      }
    });
  }

  /** @param {string | null} finish */
  #show(finish) {
    let value;
    try {
      value = JSON.parse(this.#said);
    } catch {
      this.result.dataset.valid = "false";
      this.result.append(h("p", { class: "small" }, finish === "length"
        ? "The answer reached its longest allowed length before the form was complete."
        : "The answer was stopped before the form was complete."));
      return;
    }
    this.result.dataset.valid = "true";
    this.result.replaceChildren(h("dl", { class: "card values" }, Object.entries(value).flatMap(([name, one]) => [
      h("dt", {}, name), h("dd", {}, typeof one === "string" ? readable(one) : JSON.stringify(one))])),
    h("details", { class: "fold" }, h("summary", {}, "As JSON"),
      h("pre", { tabindex: 0 }, readable(JSON.stringify(value, null, 2)))),
    button("Save as JSON", () => save(`${session.config.name}-answer.json`, JSON.stringify(value, null, 2), "application/json"),
      { class: "quiet" }));
  }
}
