// Owns which models run and what the page is doing; modes listen for "state".

import { Engine } from "./engine.js";
import { explain } from "./problem.js";

/** @import { Config, Decoding, Model } from "./config.js" */
/** @import { Progress } from "./engine.js" */
/** @import { Problem } from "./problem.js" */
/** @import { ChatCompletionMessageParam } from "./vendor/web-llm.js" */

/**
 * Which model.
 * @typedef {"tuned" | "base"} Which
 * What the page is doing.
 * @typedef {"starting" | "idle" | "loading" | "ready" | "answering" | "failed" | "unsupported"} State
 */

class Session extends EventTarget {
  // Read once, before any mode is opened.
  config = /** @type {Config} */ (/** @type {unknown} */ (null));
  /** @type {State} */
  state = "starting";
  /** @type {Record<Which, Engine | null>} */
  #engines = { tuned: null, base: null };
  /** @type {Which | null} */
  #answering = null;
  #interrupted = false;

  /** @param {State} state */
  set(state) {
    this.state = state;
    document.documentElement.dataset.state = state;
    this.dispatchEvent(new Event("state"));
  }

  get ready() {
    return this.state === "ready";
  }

  get interrupted() {
    return this.#interrupted;
  }

  /** @param {Which} which */
  has(which) {
    return this.#engines[which] !== null;
  }

  /**
   * Starts a model.
   * @param {Which} which
   * @param {(progress: Progress) => void} onProgress
   * @throws {Problem}
   */
  async load(which, onProgress) {
    const { config } = this;
    // Only modes that come with a base ask for it.
    const model = /** @type {Model} */ (which === "base" ? config.base : config.model);
    const engine = new Engine({ model });
    this.#engines[which] = null;
    await engine.load(onProgress);
    this.#engines[which] = engine;
  }

  /**
   * Marks the page as answering while `work` runs; a Problem in it is shown by the listener.
   * @param {() => Promise<void>} work
   */
  async busy(work) {
    if (!this.ready) {
      return;
    }
    this.#interrupted = false;
    this.set("answering");
    try {
      await work();
    } catch (error) {
      this.#report(explain(error));
    }
    if (this.state === "answering") {
      this.set("ready");
    }
  }

  /**
   * Yields what Engine.chat yields.
   * @param {Which} which
   * @param {ChatCompletionMessageParam[]} messages
   * @param {Decoding} decoding
   * @throws {Problem}
   */
  async *answer(which, messages, decoding, options = {}) {
    this.#answering = which;
    try {
      for await (const event of this.#loaded(which).chat(messages, decoding, options)) {
        yield event;
        if (this.#interrupted) {
          // A stop that came before the first piece may have been forgotten by then.
          this.#loaded(which).interrupt();
        }
      }
    } catch (error) {
      throw this.#broken(explain(error), which);
    } finally {
      this.#answering = null;
    }
  }

  /**
   * Returns what Engine.complete returns.
   * @param {Which} which
   * @param {ChatCompletionMessageParam[]} messages
   * @param {Decoding} decoding
   * @throws {Problem}
   */
  async complete(which, messages, decoding, options = {}) {
    this.#answering = which;
    try {
      return await this.#loaded(which).complete(messages, decoding, options);
    } catch (error) {
      throw this.#broken(explain(error), which);
    } finally {
      this.#answering = null;
    }
  }

  interrupt() {
    this.#interrupted = true;
    if (this.#answering !== null) {
      this.#engines[this.#answering]?.interrupt();
    }
  }

  dispose() {
    for (const which of /** @type {Which[]} */ (Object.keys(this.#engines))) {
      this.#engines[which]?.dispose();
      this.#engines[which] = null;
    }
  }

  /**
   * @param {Which} which
   * @returns {Engine}
   */
  #loaded(which) {
    return /** @type {Engine} */ (this.#engines[which]);
  }

  /**
   * After a fault the compiled model is dead: only a new worker can help.
   * @param {Problem} problem
   * @param {Which} which
   */
  #broken(problem, which) {
    if (problem.kind !== "message") {
      this.#engines[which]?.dispose();
      this.#engines[which] = null;
    }
    return problem;
  }

  /** @param {Problem} problem */
  #report(problem) {
    this.dispatchEvent(new CustomEvent("problem", { detail: problem }));
    if (!this.has("tuned")) {
      this.set("failed");
    }
  }
}

export const session = new Session();
