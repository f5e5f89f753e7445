// Owns the product comparison: the base with retrieved passages against the fine-tune without.

import { readFacts } from "../config.js";
import { button, field, h } from "../dom.js";
import { endNote, growingText } from "../messages.js";
import { conversation, fitting, quoting } from "../prompt.js";
import { index, passages } from "../retrieval.js";
import { baseGate, bothReady } from "../second.js";
import { session } from "../session.js";

/** @import { Problem } from "../problem.js" */
/** @import { Method, Passage, Ranked } from "../retrieval.js" */
/** @import { Which } from "../session.js" */

const CHARACTERS_PER_TOKEN = 3;
const LARGEST_FILE = 2e6;
const TRIES = 3;

/** @param {HTMLElement} panel */
export async function fill(panel) {
  const product = new Product(await readFacts("documents"));
  panel.replaceChildren(...product.parts());
  product.update();
}

class Product {
  /** @type {{ name: string, parts: Passage[] }[]} */
  #own = [];
  #search = index([]);

  /** @param {{ title: string, content: string }[]} documents */
  constructor(documents) {
    const { retrieval, questions } = session.config;
    this.shipped = documents.flatMap(({ title, content }) => passages(title, content, "shipped"));
    this.input = h("textarea", { id: "product-input", rows: 2, oninput: () => this.update() });
    this.input.value = questions[0]?.text ?? "";
    this.method = h("select", {}, h("option", { value: "tfidf" }, "TF-IDF"), h("option", { value: "bm25" }, "BM25"));
    this.method.value = retrieval.method;
    this.run = button("Ask both", () => this.#run(), { id: "product-run", class: "main" });
    this.stop = button("Stop", () => session.interrupt(), { id: "product-stop", class: "main", hidden: true });
    this.files = /** @type {HTMLInputElement} */ (h("input", { type: "file", id: "product-files", multiple: true, accept: ".txt,.md,text/plain,text/markdown",
      onchange: () => { this.#add([...(this.files.files ?? [])]); } }));
    this.list = h("ul", { class: "kept" });
    this.note = h("p", { class: "small", role: "status" });
    this.result = h("div", { id: "product-result" });
    session.addEventListener("state", () => this.update());
    this.#reindex();
  }

  parts() {
    const drop = h("div", { class: "drop", ondragover: (event) => event.preventDefault(), ondrop: (event) => {
      event.preventDefault();
      this.#add([...(event.dataTransfer?.files ?? [])]);
    } }, field("Add text files of your own", this.files,
      "Read on this device, never sent, and forgotten when this page closes. You can drop them here."), this.list, this.note);
    return [
      h("h2", {}, "Look it up, or know it?"),
      h("p", {}, "On one side the base model with passages found in documents, on the other the fine-tune without any. "
        + "Documents give facts that can be changed; a fine-tune gives manner and form."),
      baseGate(),
      h("div", { class: "card" }, field("Question", this.input), field("Ranking", this.method),
        h("div", { class: "row" }, this.run, this.stop)),
      this.result,
      h("div", { class: "card" }, h("h3", {}, "Documents"),
        h("p", { class: "small" }, `${this.shipped.length} passages came with this site.`), drop),
    ];
  }

  update() {
    const answering = session.state === "answering";
    this.run.disabled = !bothReady() || !this.input.value.trim();
    this.run.hidden = answering;
    this.stop.hidden = !answering;
  }

  /** @param {File[]} files */
  async #add(files) {
    const problems = [];
    for (const file of files) {
      const text = file.size > LARGEST_FILE ? null : await file.text().catch(() => null);
      if (text === null) {
        problems.push(`${file.name}: larger than 2 MB, or unreadable.`);
      } else if (text.includes("\0") || text.includes("\uFFFD")) {
        problems.push(`${file.name}: not a text file in UTF-8.`);
      } else {
        this.#own = this.#own.filter(({ name }) => name !== file.name);
        this.#own.push({ name: file.name, parts: passages(file.name, text, "own") });
      }
    }
    this.files.value = "";
    this.note.textContent = problems.join(" ");
    this.#reindex();
  }

  #reindex() {
    this.#search = index([...this.shipped, ...this.#own.flatMap(({ parts }) => parts)]);
    this.list.replaceChildren(...this.#own.map(({ name, parts }) => h("li", {}, h("span", {}, `${name}, ${parts.length} passages`),
      button("Remove", () => {
        this.#own = this.#own.filter((other) => other.name !== name);
        this.#reindex();
      }, { class: "quiet", "aria-label": `Remove ${name}` }))));
  }

  async #run() {
    const { config } = session;
    const question = this.input.value.trim();
    const { passages: limit, min_score: minimum } = config.retrieval;
    const found = this.#search(question, /** @type {Method} */ (this.method.value), limit, minimum);
    const base = column("base", "Base with documents");
    const tuned = column("tuned", "Fine-tune alone");
    base.element.insertBefore(quoted(found), base.element.children[1]);
    this.result.replaceChildren(h("div", { class: "two card" }, base.element, tuned.element));
    const seed = config.decoding.seed ?? Math.floor(Math.random() * 2 ** 32);
    await session.busy(async () => {
      await this.#askBase(base, question, found, seed);
      if (!session.interrupted) {
        await answer("tuned", tuned, question, seed);
      }
    });
  }

  // The page has no tokenizer, so what fits is guessed, and guessed lower when the model refuses.
  /**
   * @param {ReturnType<typeof column>} shown
   * @param {string} question
   * @param {Ranked[]} found
   * @param {number} seed
   */
  async #askBase(shown, question, found, seed) {
    const { config } = session;
    const context = config.model.context_window_size;
    const room = context - Math.min(config.decoding.max_tokens, Math.floor(context / 3));
    let characters = room * CHARACTERS_PER_TOKEN - question.length - (config.system_prompt?.length ?? 0) - 120;
    for (let tries = 1; ; tries += 1) {
      const kept = fitting(found, characters);
      try {
        const sent = quoting(question, kept);
        await answer("base", shown, sent, seed);
        const left = found.length - kept.length;
        const short = kept.some(({ cut }) => cut) || left > 0;
        shown.element.append(h("details", { class: "fold" }, h("summary", {}, "What the base was asked"),
          h("blockquote", { class: "sent" }, sent)),
        short ? h("p", { class: "small" }, `Cut to fit the ${context} tokens this model reads at once.`) : "");
        return;
      } catch (error) {
        const problem = /** @type {Problem} */ (error);
        if (problem.kind !== "message" || tries === TRIES || kept.length === 0) {
          throw problem;
        }
        characters /= 2;
      }
    }
  }
}

/**
 * @param {Which} which
 * @param {ReturnType<typeof column>} shown
 * @param {string} content
 * @param {number} seed
 */
async function answer(which, shown, content, seed) {
  const { config } = session;
  const messages = conversation(config, [{ role: "user", content }]);
  for await (const event of session.answer(which, messages, { ...config.decoding, seed })) {
    if (event.text !== undefined) {
      shown.text.append(event.text);
    } else {
      shown.text.end();
      shown.note.textContent = endNote(event.finish, session.interrupted);
      shown.element.dataset.finish = String(event.finish);
    }
  }
}

/**
 * Passages as quotations: what they say is shown as text and asked of nobody.
 * @param {Ranked[]} found
 */
function quoted(found) {
  if (found.length === 0) {
    return h("p", { class: "small passages" }, "No passage has a word of the question: it is asked without.");
  }
  return h("ol", { class: "passages" }, found.map(({ title, text, score, source }) => h("li", {},
    h("details", {}, h("summary", {}, `${title} `, h("span", { class: "badge" }, `score ${score.toFixed(3)}`),
      source === "own" ? h("span", { class: "badge" }, "yours") : null), h("blockquote", {}, text)))));
}

/**
 * @param {Which} which
 * @param {string} label
 */
function column(which, label) {
  const body = h("div", { class: "text" });
  const note = h("p", { class: "small" });
  return { element: h("div", { class: `answer ${which}` }, h("h3", {}, label), body, note), text: growingText(body), note };
}
