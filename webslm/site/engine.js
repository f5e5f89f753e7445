// Owns the model: a worker with web-llm in it. Knows nothing of the page's elements.

import { appConfig } from "./config.js";
import { download } from "./download.js";
import { explain } from "./problem.js";
import { spreadSeed } from "./seed.js";
import { promptsOf } from "./template.js";

/** @import { Decoding, Model } from "./config.js" */
/** @import { ChatCompletionMessageParam, CompletionUsage, WebWorkerMLCEngine } from "./vendor/web-llm.js" */

/**
 * How far a load has come.
 * @typedef {object} Progress
 * @property {number} share Of the whole load, 0 to 1.
 * @property {string} label What is being done.
 * @property {number} [done] Bytes that are here, while the model is downloaded.
 * @property {number} [total] Bytes in all.
 * @property {number | null} [speed] Bytes per second; null until it is known.
 * @property {number | null} [seconds] What is left at that speed.
 */

/**
 * A piece of an answer, or its end.
 * @typedef {{ text: string, finish?: undefined, usage?: undefined }
 *   | { text?: undefined, finish: string | null, usage: CompletionUsage | null }} ChatEvent
 * `finish`: "stop" (the model ended), "length" (the limit did) or "abort" (`interrupt()`).
 */

const OUTPUT_LINES = 40;

// web-llm reports each of its phases from 0 to 1; a share of the whole bar for each.
const PHASES = [
  { match: /shader/i, from: 0.6, to: 1, label: "Preparing the graphics chip" },
  { match: /cache|fetch|load/i, from: 0.5, to: 0.6, label: "Moving the model to the graphics chip" },
];
const DOWNLOAD_SHARE = 0.5;

/**
 * One model in one worker. After a Problem in the middle of an answer, `load()` starts it again.
 *
 * @example
 * const engine = new Engine({ model: (await readConfig()).model });
 * await engine.load(({ share, label }) => show(share, label));
 * for await (const { text } of engine.chat([{ role: "user", content: "Hello" }])) show(text ?? "");
 * engine.dispose();
 */
export class Engine {
  #model;
  /** @type {Worker | null} */
  #worker = null;
  /** @type {WebWorkerMLCEngine | null} */
  #client = null;
  /** @type {import("./template.js").Prompts | null} */
  #prompts = null;
  /** @type {string[]} */
  #output = [];
  /** @type {Promise<never>} */
  #broken = new Promise(() => {});

  /** @param {{ model: Model }} parts A model of `readConfig()`. */
  constructor({ model }) {
    this.#model = model;
  }

  /**
   * Downloads what is missing, checks all of it, and starts the model.
   * @param {(progress: Progress) => void} [onProgress]
   * @throws {import("./problem.js").Problem}
   */
  async load(onProgress = () => {}) {
    this.dispose();
    let most = 0;
    // Phases overlap, and a bar that runs back tells nothing.
    const report = (/** @type {Progress} */ progress) => {
      most = Math.max(most, progress.share);
      onProgress({ ...progress, share: most });
    };
    try {
      this.#prompts = await promptsOf(this.#model);
      await download(this.#model, (state) => {
        report({ share: (DOWNLOAD_SHARE * state.done) / state.total, ...state });
      });
      report({ share: DOWNLOAD_SHARE, label: "Starting" });
      const { WebWorkerMLCEngine } = await import("./vendor/web-llm.js");
      const channel = await this.#startWorker();
      this.#client = new WebWorkerMLCEngine(channel, {
        appConfig: appConfig(this.#model),
        initProgressCallback: ({ progress, text }) => {
          const phase = PHASES.find((entry) => entry.match.test(text));
          if (phase) {
            report({ share: phase.from + progress * (phase.to - phase.from), label: phase.label });
          }
        },
      });
      await this.#unlessBroken(this.#client.reload(this.#model.id));
    } catch (error) {
      const problem = explain(error, this.#output, { starting: true });
      this.dispose();
      throw problem;
    }
  }

  /**
   * Answers piece by piece.
   * @param {ChatCompletionMessageParam[]} messages
   * @param {Decoding} [decoding]
   * @param {object} [options] More fields of web-llm's request, such as response_format.
   * @returns {AsyncGenerator<ChatEvent, void, void>}
   * @throws {import("./problem.js").Problem}
   */
  async *chat(messages, decoding = {}, options = {}) {
    this.#output.length = 0;
    try {
      const chunks = await this.#unlessBroken(this.#started().chat.completions.create({
        ...request(this.#prompts?.next(messages) ?? messages, decoding, options),
        stream: true,
        stream_options: { include_usage: true },
      }));
      const iterator = chunks[Symbol.asyncIterator]();
      let finish = null;
      let usage = null;
      let said = "";
      for (;;) {
        const { value, done } = await this.#unlessBroken(iterator.next());
        if (done) {
          break;
        }
        const text = value.choices[0]?.delta.content;
        if (text) {
          said += text;
          yield { text };
        }
        finish = value.choices[0]?.finish_reason ?? finish;
        usage = value.usage ?? usage;
      }
      this.#prompts?.said(said, finish);
      yield { finish, usage };
    } catch (error) {
      throw explain(error, this.#output);
    }
  }

  /**
   * Returns a whole answer; `tokens` are the texts of the sampled tokens.
   * @param {ChatCompletionMessageParam[]} messages
   * @param {Decoding} [decoding]
   * @param {object} [options] More fields of web-llm's request.
   * @throws {import("./problem.js").Problem}
   */
  async complete(messages, decoding = {}, options = {}) {
    this.#output.length = 0;
    try {
      const reply = await this.#unlessBroken(this.#started().chat.completions.create({
        ...request(this.#prompts?.next(messages) ?? messages, decoding, options), stream: false, logprobs: true, top_logprobs: 1,
      }));
      const [choice] = reply.choices;
      this.#prompts?.said(choice.message.content ?? "", choice.finish_reason);
      return {
        text: choice.message.content ?? "",
        finish: choice.finish_reason,
        tokens: (choice.logprobs?.content ?? []).map(({ token }) => token),
        usage: reply.usage ?? null,
      };
    } catch (error) {
      throw explain(error, this.#output);
    }
  }

  /** Ends the answer that is under way. */
  interrupt() {
    this.#client?.interruptGenerate();
  }

  /** Stops the worker and frees its memory; what was downloaded stays. */
  dispose() {
    this.#worker?.terminate();
    this.#worker = null;
    this.#client = null;
  }

  #started() {
    if (this.#client === null) {
      throw new Error("the model is not loaded: call load() first");
    }
    return this.#client;
  }

  // web-llm's client throws on messages it does not know, so ours are taken out before it.
  #startWorker() {
    const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    /** @type {any} */
    const channel = { onmessage: null, postMessage: (/** @type {unknown} */ message) => worker.postMessage(message) };
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      /** @type {(error: Error) => void} */
      let fail = () => {};
      this.#broken = new Promise((_, rejectBroken) => { fail = rejectBroken; });
      this.#broken.catch(() => {});
      worker.onmessage = (event) => {
        const { kind, text } = event.data;
        if (kind === "webslm-alive") {
          resolve(channel);
        } else if (kind === "webslm-lost") {
          fail(new Error(`the graphics device was lost (${text})`));
        } else if (kind === "webslm-output") {
          this.#output.push(text);
          this.#output.splice(0, this.#output.length - OUTPUT_LINES);
        } else {
          channel.onmessage?.(event);
        }
      };
      worker.onerror = (event) => {
        const error = new Error(event.message || "worker.js could not be started");
        fail(error);
        reject(error);
      };
    });
  }

  /**
   * A dead worker answers nothing; without this its caller would wait for ever.
   * @template T
   * @param {Promise<T>} promise
   * @returns {Promise<T>}
   */
  #unlessBroken(promise) {
    return Promise.race([promise, this.#broken]);
  }
}

/**
 * @param {ChatCompletionMessageParam[]} messages
 * @param {Decoding} decoding
 * @param {object} options
 */
function request(messages, { temperature, top_p, repetition_penalty, max_tokens, seed }, options) {
  const spread = seed === null || seed === undefined ? seed : spreadSeed(seed);
  return { messages, temperature, top_p, repetition_penalty, max_tokens, seed: spread, ...options };
}
