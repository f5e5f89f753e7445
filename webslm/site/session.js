// Owns which models run and what the page is doing; modes listen for "state".

import { Engine } from "./engine.js";
import { explain } from "./problem.js";

class Session extends EventTarget {
  config = null;
  state = "starting";
  #engines = { tuned: null, base: null };
  #answering = null;
  #interrupted = false;

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

  has(which) {
    return this.#engines[which] !== null;
  }

  // Starts a model; throws a Problem.
  async load(which, onProgress) {
    const { config } = this;
    const engine = new Engine({ model: which === "base" ? config.base : config.model });
    this.#engines[which] = null;
    await engine.load(onProgress);
    this.#engines[which] = engine;
  }

  // Marks the page as answering while `work` runs; a Problem in it is shown by the listener.
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

  // Yields what Engine.chat yields; throws a Problem.
  async *answer(which, messages, decoding, options = {}) {
    this.#answering = which;
    try {
      for await (const event of this.#engines[which].chat(messages, decoding, options)) {
        yield event;
        if (this.#interrupted) {
          // A stop that came before the first piece may have been forgotten by then.
          this.#engines[which].interrupt();
        }
      }
    } catch (error) {
      throw this.#broken(explain(error), which);
    } finally {
      this.#answering = null;
    }
  }

  // Returns a whole answer as { text, finish, tokens }; throws a Problem.
  async complete(which, messages, decoding, options = {}) {
    this.#answering = which;
    try {
      return await this.#engines[which].complete(messages, decoding, options);
    } catch (error) {
      throw this.#broken(explain(error), which);
    } finally {
      this.#answering = null;
    }
  }

  interrupt() {
    this.#interrupted = true;
    this.#engines[this.#answering]?.interrupt();
  }

  dispose() {
    for (const which of Object.keys(this.#engines)) {
      this.#engines[which]?.dispose();
      this.#engines[which] = null;
    }
  }

  // After a fault the compiled model is dead: only a new worker can help.
  #broken(problem, which) {
    if (problem.kind !== "message") {
      this.#engines[which]?.dispose();
      this.#engines[which] = null;
    }
    return problem;
  }

  #report(problem) {
    this.dispatchEvent(new CustomEvent("problem", { detail: problem }));
    if (!this.has("tuned")) {
      this.set("failed");
    }
  }
}

export const session = new Session();
