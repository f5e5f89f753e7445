// Owns what other pages import: this site's model without its page. A bundle gives it at the fixed
// address webslm.js, which points at the build's own modules; docs/developers.md shows it in use.

import { readConfig, readRecords } from "./config.js";
import { inspectDevice } from "./device.js";
import { forget } from "./download.js";
import { Engine } from "./engine.js";
import { judge } from "./judge.js";
import { Problem } from "./problem.js";
import { conversation } from "./prompt.js";
import { missingBytes } from "./storage.js";

/** @import { Config, Decoding, Model } from "./config.js" */
/** @import { ChatEvent, Progress } from "./engine.js" */
/** @import { Turn } from "./prompt.js" */

export { Problem, readRecords };

/**
 * A model of this site as it was trained to be asked: with its system prompt and its sampling.
 * Every method that waits throws a `Problem`, whose title, text and advice are for visitors.
 *
 * @example
 * import { Assistant } from "./bundle/webslm.js";
 * const assistant = await Assistant.open();
 * await assistant.load(({ share, label }) => show(share, label));
 * for await (const { text } of assistant.chat("What is asthma?")) show(text ?? "");
 * assistant.dispose();
 */
export class Assistant {
  #engine;
  #model;

  /** A chat model's library has no embedding function, so there is no such method. */
  static embeddings = false;

  /**
   * Reads what the site says of its models; downloads none. Throws where there is no base.
   * @param {{ which?: "tuned" | "base" }} [choice] The base is there if a mode of the page compares with it.
   */
  static async open({ which = "tuned" } = {}) {
    const config = await readConfig();
    const model = which === "base" ? config.base : config.model;
    if (model === null) {
      throw new Problem({ title: "There is no base model here", text: "This site was built with the fine-tune alone." });
    }
    return new Assistant(config, model);
  }

  /**
   * Use `Assistant.open()`.
   * @param {Config} config
   * @param {Model} model
   */
  constructor(config, model) {
    /** Title, disclaimer, system prompt, sampling and more. */
    this.config = config;
    this.#model = model;
    this.#engine = new Engine({ model });
  }

  /** Says in words whether the model runs on this device, and how many bytes are missing; downloads nothing. */
  async check() {
    const missing = await missingBytes(this.#model);
    return { ...judge(await inspectDevice(), this.#model, { missing }), missing };
  }

  /**
   * Downloads what is missing, checks all of it, and starts the model in a worker; also after a `Problem`.
   * @param {(progress: Progress) => void} [onProgress]
   */
  async load(onProgress) {
    await this.#engine.load(onProgress);
  }

  /**
   * Answers piece by piece: { text } for each, at last { finish, usage }.
   * @param {string | Turn[]} turns A question, or a conversation that ends with one. Give back earlier
   *   answers exactly as they came: then only what is new is computed.
   * @param {Decoding} [decoding] Changes to the recipe's sampling.
   * @param {object} [options] More fields of web-llm's request, such as response_format.
   * @returns {AsyncGenerator<ChatEvent, void, void>}
   */
  chat(turns, decoding = {}, options = {}) {
    return this.#engine.chat(this.#messages(turns), { ...this.config.decoding, ...decoding }, options);
  }

  /**
   * Answers as a whole: { text, finish, tokens, usage }.
   * @param {string | Turn[]} turns As for `chat`.
   * @param {Decoding} [decoding]
   * @param {object} [options]
   */
  complete(turns, decoding = {}, options = {}) {
    return this.#engine.complete(this.#messages(turns), { ...this.config.decoding, ...decoding }, options);
  }

  /** Ends the answer that is under way; what was said until then stands. */
  interrupt() {
    this.#engine.interrupt();
  }

  /** Stops the model and frees its memory; what was downloaded stays. */
  dispose() {
    this.#engine.dispose();
  }

  /** Disposes, and deletes from this browser what was downloaded of all this site's models. */
  async forget() {
    this.dispose();
    await forget([this.config.model, this.config.base].filter((model) => model !== null));
  }

  /** @param {string | Turn[]} turns */
  #messages(turns) {
    return conversation(this.config, typeof turns === "string" ? [{ role: "user", content: turns }] : turns);
  }
}
