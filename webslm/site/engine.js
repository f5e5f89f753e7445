// Owns the model: a worker with web-llm in it. Knows nothing of the page's elements.

import { appConfig } from "./config.js";
import { download } from "./download.js";
import { explain } from "./problem.js";

const OUTPUT_LINES = 40;

// web-llm reports each of its phases from 0 to 1; a share of the whole bar for each.
const PHASES = [
  { match: /shader/i, from: 0.6, to: 1, label: "Preparing the graphics chip" },
  { match: /cache|fetch|load/i, from: 0.5, to: 0.6, label: "Moving the model to the graphics chip" },
];
const DOWNLOAD_SHARE = 0.5;

/**
 * One model in one worker.
 *
 * @example
 * const engine = new Engine({ model: (await readConfig()).model });
 * await engine.load(({ share, label }) => show(share, label));
 * for await (const { text } of engine.chat([{ role: "user", content: "Hello" }])) show(text ?? "");
 * engine.dispose();
 */
export class Engine {
  #model;
  #worker = null;
  #client = null;
  #output = [];
  #broken = null;

  /** @param {{ model: object }} parts A model of `readConfig()`. */
  constructor({ model }) {
    this.#model = model;
  }

  // Calls onProgress({ share, label, bytes }) with share from 0 to 1; throws a Problem.
  async load(onProgress) {
    try {
      await download(this.#model, (state) => {
        onProgress({ share: (DOWNLOAD_SHARE * state.done) / state.total, ...state });
      });
      onProgress({ share: DOWNLOAD_SHARE, label: "Starting" });
      const { WebWorkerMLCEngine } = await import("./vendor/web-llm.js");
      const channel = await this.#startWorker();
      this.#client = new WebWorkerMLCEngine(channel, {
        appConfig: appConfig(this.#model),
        initProgressCallback: ({ progress, text }) => {
          const phase = PHASES.find((entry) => entry.match.test(text));
          if (phase) {
            onProgress({ share: phase.from + progress * (phase.to - phase.from), label: phase.label });
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

  // Yields { text } for each piece, then { finish, usage }; throws a Problem.
  // `decoding`: temperature, top_p, repetition_penalty, max_tokens, seed;
  // `options`: more fields of the request, such as response_format.
  async *chat(messages, decoding = {}, options = {}) {
    this.#output.length = 0;
    try {
      const chunks = await this.#unlessBroken(this.#client.chat.completions.create({
        ...request(messages, decoding, options),
        stream: true,
        stream_options: { include_usage: true },
      }));
      const iterator = chunks[Symbol.asyncIterator]();
      let finish = null;
      let usage = null;
      for (;;) {
        const { value, done } = await this.#unlessBroken(iterator.next());
        if (done) {
          break;
        }
        const text = value.choices[0]?.delta.content;
        if (text) {
          yield { text };
        }
        finish = value.choices[0]?.finish_reason ?? finish;
        usage = value.usage ?? usage;
      }
      yield { finish, usage };
    } catch (error) {
      throw explain(error, this.#output);
    }
  }

  // Returns { text, finish, tokens, usage }: `tokens` are the sampled tokens' texts; throws a Problem.
  async complete(messages, decoding = {}, options = {}) {
    this.#output.length = 0;
    try {
      const reply = await this.#unlessBroken(this.#client.chat.completions.create({
        ...request(messages, decoding, options), logprobs: true, top_logprobs: 1,
      }));
      const [choice] = reply.choices;
      return {
        text: choice.message.content ?? "",
        finish: choice.finish_reason,
        tokens: (choice.logprobs?.content ?? []).map(({ token }) => token),
        usage: reply.usage,
      };
    } catch (error) {
      throw explain(error, this.#output);
    }
  }

  interrupt() {
    this.#client?.interruptGenerate();
  }

  dispose() {
    this.#worker?.terminate();
    this.#worker = null;
    this.#client = null;
  }

  // web-llm's client throws on messages it does not know, so ours are taken out before it.
  #startWorker() {
    const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    const channel = { onmessage: null, postMessage: (message) => worker.postMessage(message) };
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      let fail;
      this.#broken = new Promise((_, rejectBroken) => { fail = rejectBroken; });
      this.#broken.catch(() => {});
      worker.onmessage = (event) => {
        if (event.data.kind === "webslm-alive") {
          resolve(channel);
        } else if (event.data.kind === "webslm-output") {
          this.#output.push(event.data.text);
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

  // A dead worker answers nothing; without this its caller would wait for ever.
  #unlessBroken(promise) {
    return Promise.race([promise, this.#broken]);
  }
}

function request(messages, { temperature, top_p, repetition_penalty, max_tokens, seed }, options) {
  return { messages, temperature, top_p, repetition_penalty, max_tokens, seed, ...options };
}
