// Owns what is told about the assistant: its model card, privacy, a test of this device, removal.

import { readFacts, readRecords, SITE } from "../config.js";
import { describeStorage } from "../offline.js";
import { button, h } from "../dom.js";
import { readableBytes } from "../readable.js";
import { selfTest } from "../selftest.js";
import { session } from "../session.js";

/** @import { Model } from "../config.js" */
/** @import { Leaf, Child } from "../dom.js" */
/** @import { Result } from "../selftest.js" */

/** @typedef {(string | number)[][]} Facts Pairs of a name and a value. */

/**
 * @param {HTMLElement} panel
 * @param {{ forgetModel: () => Promise<void> }} page
 */
export async function fill(panel, { forgetModel }) {
  const [card, records] = await Promise.all([readFacts("card"), readRecords()]);
  panel.replaceChildren(
    h("h2", {}, "About this assistant"),
    h("p", {}, "A small model can be wrong, and it knows nothing beyond what it was trained on. Check what matters with "
      + "a person who knows."),
    modelCard(card),
    privacy(),
    deviceTest(),
    removal(forgetModel),
    developers(records),
  );
}

/**
 * @param {any} training Of facts/card.json.
 * @returns {Facts}
 */
function trainingFacts(training) {
  if (training === null) return [["Training", "none: the base as it is"]];
  const rank = training.r === null ? "" : `, rank ${training.r}, alpha ${training.alpha}`;
  if (training.steps === 0) return [["Training", `${training.method}${rank}`]];
  return [
    ["Training", `${training.method}${rank}, ${training.epochs} epochs, `
      + `${training.steps} steps, learning rate ${training.learning_rate}, seed ${training.seed}`],
    ["Training loss", `${training.first_loss.toFixed(2)} at the first step, ${training.last_loss.toFixed(2)} at the last`],
  ];
}

/**
 * @param {any} evaluation Of facts/card.json.
 * @returns {Leaf[]}
 */
function measured(evaluation) {
  if (!evaluation) return [];
  const { finetune, quantized } = evaluation.sentences;
  /** @type {(title: string, lines: string[]) => HTMLElement[]} */
  const list = (title, lines) => [h("h4", {}, title), h("ul", { class: "small" }, lines.map((line) => h("li", {}, line)))];
  return [...list("What the fine-tune changed", finetune), ...list("What the smaller weights cost", quantized),
    h("p", { class: "small" }, `Measured when this site was built; ${evaluation.confidence * 100} % intervals in brackets.`)];
}

/** @param {{ id?: string, name: string, commit?: string, origin?: string }} base */
function baseFacts({ id, name, commit, origin }) {
  if (origin) return `${id ?? name}, ${origin}`;
  return id ? `${id}, commit ${commit}` : `${name}, made on the builder's machine`;
}

/** @param {any} card What facts/card.json says. */
function modelCard({ base, data, training, weights, runtime, evaluation }) {
  const { config } = session;
  const { model } = config;
  return section("Model card", facts("facts", [
    ["Model", `${model.id}, ${readableBytes(model.bytes)}`],
    [training ? "Tuned from" : "Made from", baseFacts(base)],
    ["Base licence", base.licence],
    ...(training ? [["Trained on", `${data.train.rows} conversations; ${data.held_out.rows} were held out`]] : []),
    ...trainingFacts(training),
    ["Weights", `${weights.format}; largest error of a tensor ${(weights.worst_rms_relative_error * 100).toFixed(1)} % (rms)`],
    ...(model.choice ? [["Library", `${model.arithmetic === "f16" ? "16" : "32"}-bit arithmetic, because ${model.choice}`]] : []),
    ["Reads at once", `${model.context_window_size} tokens`],
    ...memoryFacts(model),
    ["Sampling", Object.entries(config.decoding).filter(([, value]) => value !== null)
      .map(([name, value]) => `${name} ${value}`).join(", ")],
    ["Built for", runtime.row],
    ["web-llm", runtime.web_llm],
  ]), measured(evaluation), h("p", {}, "It was told before every conversation:"),
  h("blockquote", {}, config.system_prompt ?? "Nothing: the model was trained without a system prompt."),
  h("p", { class: "small" }, training && data.train.rows < 200
    ? "So few examples teach a manner of answering, not knowledge: expect wrong facts." : ""));
}

/**
 * @param {Model} model
 * @returns {Facts}
 */
function memoryFacts({ memory, context_window_size: window }) {
  if (!memory?.weights_bytes) return [];
  const [cache = 0, work = 0, largest = 0] = [memory.kv_cache_bytes, memory.temporaries_bytes, memory.largest_buffer_bytes];
  return [["Graphics memory", `${readableBytes(memory.total_bytes)}: ${readableBytes(memory.weights_bytes)} of weights, `
    + `${readableBytes(cache)} for a conversation of ${window} tokens, `
    + `${readableBytes(work)} to work in; largest piece ${readableBytes(largest)}`]];
}

function privacy() {
  return section("Privacy", h("ul", {},
    h("li", {}, "The model runs in this browser. Questions, answers and files you add are not sent anywhere."),
    h("li", {}, "This page loads files from its own address only, and its security policy forbids any other. Whoever runs "
      + "that address can see that its files are fetched, as with any web page."),
    h("li", {}, "Conversations are kept in this browser until you erase them under Chat. Other pages at the same web "
      + "address, such as other projects of the same host name, could read them."),
    h("li", {}, "Files you add are forgotten when the page closes. There are no cookies and no statistics.")));
}

function deviceTest() {
  const rows = h("ul", { class: "tests" });
  const verdict = h("p", { id: "selftest-verdict", role: "status" });
  const copy = button("Copy the result", () => navigator.clipboard.writeText(report), { class: "quiet", hidden: true });
  const run = button("Test this device", start, { id: "selftest", class: "main" });
  let report = "";

  async function start() {
    rows.replaceChildren();
    delete verdict.dataset.ok;
    verdict.textContent = "Testing…";
    copy.hidden = true;
    /** @type {Result[]} */
    let results = [];
    await session.busy(async () => {
      results = await selfTest(await readFacts("golden"), (result) => rows.append(line(result)));
    });
    const good = results.length > 0 && results.every(({ ok }) => ok);
    verdict.dataset.ok = String(good);
    verdict.textContent = results.length === 0 ? "The test could not be run."
      : good ? "This device computes what the build recorded."
        : "This device computes something else: do not trust its answers, and send the result to whoever runs this site.";
    report = JSON.stringify({ model: session.config.model.url, agent: navigator.userAgent, results }, null, 1);
    copy.hidden = results.length === 0;
  }

  function update() {
    run.disabled = !session.ready;
  }
  session.addEventListener("state", update);
  update();
  return section("Test this device", h("p", {}, "Asks a few recorded questions and compares every token with those that "
    + "PyTorch computed from the same weights when this site was built."), run, verdict, rows, copy);
}

/** @param {Result} result */
function line({ question, same, of, tie, ok, seen, expected, seconds }) {
  return h("li", { "data-ok": String(ok) }, h("span", { class: "badge" }, ok ? "same" : "different"),
    ` ${question} – ${same} of ${of} tokens${tie ? ", then a tie" : ""}, ${seconds} s`,
    ok ? null : h("details", {}, h("summary", {}, "Both texts"), h("blockquote", {}, expected), h("blockquote", {}, seen)));
}

/** @param {() => Promise<void>} forgetModel */
function removal(forgetModel) {
  const remove = button("Delete the downloaded model", forgetModel, { id: "forget" });
  const kept = h("p", { id: "kept-bytes" });
  const update = () => {
    remove.disabled = ["loading", "answering"].includes(session.state);
    describeStorage(kept, session.config.model).catch(() => {});
  };
  session.addEventListener("state", update);
  update();
  return section("Storage", h("p", {}, "The browser keeps the model so that it need not be downloaded again."), kept, remove);
}

/** @param {object} records */
function developers(records) {
  const use = `import { Assistant } from "${SITE}webslm.js";`;
  const record = JSON.stringify(records, null, 1);
  /** @type {(id: string, text: string) => HTMLElement} */
  const code = (id, text) => h("pre", { id, tabindex: 0, "aria-label": "Code to copy" }, text);
  return section("For developers",
    h("p", {}, "A page on this origin can use the model without this page:"), code("use", use),
    h("details", { class: "fold" }, h("summary", {}, "Record for web-llm"),
      h("p", { class: "small" }, "Its appConfig, for pages anywhere if this host allows other origins."), code("record", record),
      button("Copy the record", () => navigator.clipboard.writeText(record), { class: "quiet" })));
}

/**
 * @param {string} title
 * @param {Child[]} content
 */
function section(title, ...content) {
  return h("section", { class: "card" }, h("h3", {}, title), ...content);
}

/**
 * @param {string} id
 * @param {Facts} list
 */
function facts(id, list) {
  return h("dl", { id, class: "small" }, list.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
}
