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

export class Engine {
  #model;
  #decoding;
  #worker = null;
  #client = null;
  #output = [];
  #broken = null;

  constructor({ model, decoding }) {
    this.#model = model;
    this.#decoding = decoding;
  }

  // Calls onProgress({ share, label, bytes }) with share from 0 to 1; throws a Problem.
  async load(onProgress) {
    try {
      await download(this.#model, (done, total) => {
        onProgress({ share: (DOWNLOAD_SHARE * done) / total, label: "Downloading", done, total });
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
  async *chat(messages) {
    const { temperature, top_p, repetition_penalty, max_tokens, seed } = this.#decoding;
    this.#output.length = 0;
    try {
      const chunks = await this.#unlessBroken(this.#client.chat.completions.create({
        messages,
        temperature,
        top_p,
        repetition_penalty,
        max_tokens,
        seed,
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
    const worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" });
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
