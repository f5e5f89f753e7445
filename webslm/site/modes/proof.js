// Owns the proof: base against fine-tune, asked the same, sampled the same, counted the same.

import { readFacts } from "../config.js";
import { button, field, h, save } from "../dom.js";
import { growingText } from "../messages.js";
import { drift, repetition, similarity } from "../metrics.js";
import { conversation } from "../prompt.js";
import { csv, summaryTable } from "../results.js";
import { samplingPanel } from "../sampling.js";
import { baseGate, bothReady } from "../second.js";
import { session } from "../session.js";

/** @import { Decoding } from "../config.js" */
/** @import { Answer } from "../results.js" */
/** @import { Which } from "../session.js" */

/** @typedef {{ text: string, reference: string, trained: boolean }} Question */

/** @type {[Which, string][]} */
const MODELS = [["base", "Base"], ["tuned", "Fine-tune"]];
const FIRST_SEED = 1;

/** @param {HTMLElement} panel */
export async function fill(panel) {
  const proof = new Proof(await readFacts("comparison"));
  panel.replaceChildren(...proof.parts());
  proof.update();
}

class Proof {
  /** @type {Answer[]} */
  #results = [];

  /** @param {Question[]} questions */
  constructor(questions) {
    const { config } = session;
    this.questions = questions;
    this.boxes = questions.map(() => h("input", { type: "checkbox", checked: true, onchange: () => this.update() }));
    this.samples = h("input", { type: "number", min: 1, max: 20, value: config.samples });
    this.sampling = samplingPanel({ ...config.decoding, seed: config.decoding.seed ?? FIRST_SEED },
      config.model.context_window_size);
    this.run = button("Compare", () => this.#run(), { id: "proof-run", class: "main" });
    this.stop = button("Stop", () => session.interrupt(), { id: "proof-stop", class: "main", hidden: true });
    this.bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Answers done" });
    this.line = h("p", { class: "small", role: "status" });
    this.table = h("div", { id: "proof-table" });
    this.answers = h("div", { id: "proof-answers" });
    this.saves = [
      button("Save as CSV", () => this.#save("csv"), { class: "quiet" }),
      button("Save as JSON", () => this.#save("json"), { class: "quiet" }),
    ];
    session.addEventListener("state", () => this.update());
  }

  parts() {
    /** @param {boolean} trained */
    const choices = (trained) => this.questions.flatMap((question, at) => (question.trained !== trained ? []
      : [h("li", {}, h("label", { class: "choice" }, this.boxes[at], h("span", {}, question.text)))]));
    return [
      h("h2", {}, "Did the fine-tune change anything?"),
      h("p", {}, "Both models get the same system prompt, question, seed and sampling; nothing is retrieved. "
        + "Trained questions were in the fine-tune's rows, held-out ones were not: only those show whether it learnt "
        + "more than its rows by heart."),
      baseGate(),
      h("div", { class: "card" },
        h("div", { class: "two" },
          h("fieldset", {}, h("legend", {}, "Trained questions"), h("ul", { class: "choices" }, choices(true))),
          h("fieldset", {}, h("legend", {}, "Held-out questions"), h("ul", { class: "choices" }, choices(false)))),
        field("Answers per question and model", this.samples, "The seed grows by one with each."),
        h("details", { class: "fold" }, h("summary", {}, "Sampling"), this.sampling.element),
        h("div", { class: "row" }, this.run, this.stop), this.bar, this.line),
      this.table,
      h("div", { class: "row" }, this.saves),
      this.answers,
    ];
  }

  update() {
    const answering = session.state === "answering";
    this.run.disabled = !bothReady() || !this.boxes.some((box) => box.checked);
    this.run.hidden = answering;
    this.stop.hidden = !answering;
    this.bar.hidden = !answering;
    for (const control of this.saves) {
      control.disabled = answering || this.#results.length === 0;
    }
  }

  async #run() {
    const chosen = this.questions.filter((_, at) => this.boxes[at].checked);
    const count = this.samples.checkValidity() ? this.samples.valueAsNumber : session.config.samples;
    const decoding = this.sampling.decoding();
    const first = decoding.seed ?? FIRST_SEED;
    this.#results = [];
    this.answers.replaceChildren();
    this.table.replaceChildren(summaryTable([]));
    const total = chosen.length * count * MODELS.length;
    await session.busy(async () => {
      for (const question of chosen) {
        for (let sample = 0; sample < count; sample += 1) {
          await this.#pair(question, sample, { ...decoding, seed: first + sample }, total);
          if (session.interrupted) {
            return;
          }
        }
      }
    });
    this.line.textContent = `${this.#results.length} of ${total} answers.`;
    this.update();
  }

  /**
   * @param {Question} question
   * @param {number} sample
   * @param {Required<Decoding> & { seed: number }} decoding
   * @param {number} total
   */
  async #pair(question, sample, decoding, total) {
    const columns = MODELS.map(([which, label]) => column(which, label));
    this.answers.prepend(h("article", { class: "card pair" },
      h("h3", {}, question.text, " ", h("span", { class: `badge ${question.trained ? "trained" : "held-out"}` },
        question.trained ? "trained" : "held out")),
      h("details", { class: "fold" }, h("summary", {}, "Reference answer"), h("blockquote", {}, question.reference)),
      h("div", { class: "two" }, columns.map(({ element }) => element))));
    for (const [at, [which]] of MODELS.entries()) {
      this.line.textContent = `${this.#results.length} of ${total} answers, seed ${decoding.seed}`;
      const result = await this.#ask(which, question, sample, decoding, columns[at]);
      if (session.interrupted) {
        columns[at].note("Stopped by you; not counted.");
        return;
      }
      this.#results.push(result);
      this.bar.value = this.#results.length / total;
      this.table.replaceChildren(summaryTable(this.#results));
    }
  }

  /**
   * @param {Which} which
   * @param {Question} question
   * @param {number} sample
   * @param {Required<Decoding> & { seed: number }} decoding
   * @param {ReturnType<typeof column>} shown
   * @returns {Promise<Answer>}
   */
  async #ask(which, question, sample, decoding, shown) {
    const { config } = session;
    const messages = conversation(config, [{ role: "user", content: question.text }]);
    let finish = null;
    let tokens = null;
    for await (const event of session.answer(which, messages, decoding)) {
      if (event.text === undefined) {
        finish = event.finish;
        tokens = event.usage?.completion_tokens ?? null;
      } else {
        shown.text.append(event.text);
      }
    }
    shown.text.end();
    const { text } = shown.text;
    const result = {
      question: question.text, trained: question.trained, model: which, sample, seed: decoding.seed, finish,
      tokens, stopped: finish === "stop", repetition: repetition(text),
      drift: drift(text, `${config.system_prompt ?? ""} ${question.text} ${question.reference}`),
      similarity: similarity(text, question.reference), text,
    };
    shown.measured(result);
    return result;
  }

  /** @param {"csv" | "json"} kind */
  #save(kind) {
    const { config } = session;
    if (kind === "csv") {
      save(`${config.name}-proof.csv`, csv(this.#results), "text/csv");
      return;
    }
    const decoding = this.sampling.decoding();
    const report = { name: config.name, models: { tuned: config.model.id, base: config.base?.id }, decoding,
      system_prompt: config.system_prompt, versions: config.versions, results: this.#results };
    save(`${config.name}-proof.json`, JSON.stringify(report, null, 1), "application/json");
  }
}

/**
 * One model's answer.
 * @param {Which} which
 * @param {string} label
 */
function column(which, label) {
  const body = h("div", { class: "text" });
  const line = h("p", { class: "small measures" });
  return {
    element: h("div", { class: `answer ${which}` }, h("h4", {}, label), body, line),
    text: growingText(body),
    /** @param {Answer} result */
    measured: ({ stopped, repetition: repeated, drift: away, similarity: like }) => {
      line.textContent = `${stopped ? "stopped by itself" : "ran into the limit"} · repetition ${percent(repeated)}`
        + ` · drift ${percent(away)} · similarity ${percent(like)}`;
    },
    /** @param {string} text */
    note: (text) => { line.textContent = text; },
  };
}

/** @param {number} share */
function percent(share) {
  return `${Math.round(share * 100)}\u00a0%`;
}
