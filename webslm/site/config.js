// Owns the page's configuration: reads webslm.json and makes every URL absolute.
// web-llm resolves nothing against the page, so a site under any sub-path needs this.

import { graphics } from "./device.js";

/**
 * One file of a model.
 * @typedef {object} ModelFile
 * @property {string} path Relative to the model's folder, or to the site for the library.
 * @property {string} url Absolute.
 * @property {string} scope The cache in which web-llm looks for it.
 * @property {number} bytes
 * @property {string} sha256 In hexadecimal digits.
 */

/**
 * A model of this site, with absolute addresses.
 * @typedef {object} Model
 * @property {string} id
 * @property {string} url Folder of its files.
 * @property {string} lib Its library.
 * @property {ModelFile[]} files All that is downloaded, the library first.
 * @property {number} bytes Sum of the files' sizes.
 * @property {number} context_window_size In tokens.
 * @property {GPUFeatureName[]} required_features
 * @property {"f16" | "f32"} [arithmetic] What its library computes in.
 * @property {string} [choice] Why this library, where the site has several.
 * @property {{ total_bytes: number, weights_bytes?: number, kv_cache_bytes?: number,
 *   temporaries_bytes?: number, largest_buffer_bytes?: number } | null} [memory] On the graphics chip.
 * @property {{ config: string, model_lib: string, tokenizer: Record<string, string> }} integrity
 * @property {import("./template.js").PromptFacts} [prompts] What the page renders prompts with; without it
 *   web-llm renders them.
 */

/**
 * How answers are sampled; what is left out stays as the model's own configuration has it.
 * @typedef {object} Decoding
 * @property {number} [temperature]
 * @property {number} [top_p]
 * @property {number} [repetition_penalty]
 * @property {number} [max_tokens]
 * @property {number | null} [seed] Null: another answer each time.
 */

/**
 * What `webslm.json` says of a site.
 * @typedef {object} Config
 * @property {string} name
 * @property {string} title
 * @property {string} disclaimer To be shown wherever answers are.
 * @property {string | null} system_prompt As it was trained.
 * @property {string[]} special_tokens Spellings that the tokenizer turns into control tokens.
 * @property {number[]} blank_tokens Those that hold nothing but white space.
 * @property {{ text: string, trained: boolean }[]} questions
 * @property {Required<Decoding>} decoding The recipe's.
 * @property {string[]} modes
 * @property {number} samples
 * @property {{ method: string, passages: number, min_score: number }} retrieval
 * @property {object} answer_schema
 * @property {Record<string, string>} versions
 * @property {Model} model The fine-tune.
 * @property {Model | null} base What it was tuned from, where a mode compares them.
 */

// The page's own files lie in app/<digest of them>/, so two builds of them can never mix.
const APP = new URL(".", import.meta.url);
export const SITE = new URL("../../", APP).href;
export const RECORDS = new URL("model-record.json", SITE).href;

/**
 * @param {string | null} [asked] The library to take whatever the chip offers: f16 or f32.
 * @returns {Promise<Config>}
 */
export async function readConfig(asked = null) {
  const config = await readJson("webslm.json");
  const { features } = await graphics();
  for (const name of ["model", "base"].filter((key) => config[key])) {
    config[name] = locate(pickLibrary(config[name], features, asked));
  }
  return config;
}

/**
 * What one mode needs, read when it is opened: a file of the folder facts.
 * @param {string} name
 */
export async function readFacts(name) {
  return readJson(`facts/${name}.json`);
}

/**
 * A model may come with several libraries over the same weights (16-bit and 32-bit), best first
 * in `libs`; each entry replaces fields of the record. The one asked for is taken, else the first
 * whose features are all there; when none is, the last, so that the device check can say what is
 * missing. `choice` says which of these it was.
 * @param {any} model A record as it stands in webslm.json.
 * @param {string[]} features What the graphics chip offers.
 * @param {string | null} [asked] An `arithmetic`; one that the model lacks asks for nothing.
 */
export function pickLibrary(model, features, asked = null) {
  const { libs, ...record } = model;
  if (!libs?.length) {
    return record;
  }
  /** @param {{ required_features?: string[] }} one */
  const lacks = (one) => (one.required_features ?? record.required_features ?? [])
    .filter((/** @type {string} */ feature) => !features.includes(feature));
  const wanted = libs.find((/** @type {Model} */ one) => one.arithmetic === asked);
  if (asked && wanted) {
    return { ...record, ...wanted, choice: `the address asks for it (library=${asked})` };
  }
  const taken = libs.find((/** @type {Model} */ one) => lacks(one).length === 0) ?? libs.at(-1);
  const choice = taken === libs[0]
    ? `the graphics chip offers ${taken.required_features.join(" and ")}`
    : `the graphics chip does not offer ${lacks(libs[0]).join(" and ")}`;
  return { ...record, ...taken, choice };
}

/**
 * Adds absolute URLs, and to each file the cache scope in which web-llm looks for it.
 * @param {any} model
 * @returns {Model}
 */
function locate(model) {
  const url = new URL(model.url, SITE).href;
  const lib = new URL(model.lib, SITE).href;
  const library = { ...model.library, path: model.lib, url: lib, scope: "webllm/wasm" };
  const files = model.files.map((/** @type {ModelFile} */ file) => ({
    ...file,
    url: new URL(file.path, url).href,
    scope: file.path === "mlc-chat-config.json" ? "webllm/config" : "webllm/model",
  }));
  const all = [library, ...files];
  return { ...model, url, lib, files: all, bytes: all.reduce((sum, file) => sum + file.bytes, 0) };
}

/** @param {string} name */
async function readJson(name) {
  const response = await fetch(new URL(name, APP));
  if (!response.ok) {
    throw new Error(`${name}: the server answered ${response.status}`);
  }
  return response.json();
}

/**
 * The record that web-llm's engine looks up by model_id.
 * @param {Model} model
 * @returns {import("./vendor/web-llm.js").AppConfig}
 */
export function appConfig(model) {
  return {
    cacheBackend: "cache",
    model_list: [
      {
        model: model.url,
        model_id: model.id,
        model_lib: model.lib,
        required_features: model.required_features,
        integrity: { ...model.integrity, onFailure: "error" },
      },
    ],
  };
}

/**
 * `model-record.json` with absolute addresses: what plain web-llm needs to load these models.
 * @returns {Promise<import("./vendor/web-llm.js").AppConfig>}
 */
export async function readRecords() {
  const records = await readJson(RECORDS);
  for (const record of records.model_list) {
    record.model = new URL(record.model, RECORDS).href;
    record.model_lib = new URL(record.model_lib, RECORDS).href;
  }
  return records;
}
