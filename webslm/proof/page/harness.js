// Owns measuring a bundle's model through web-llm; never part of a bundle. In the page's worker it
// takes over the model that the page has loaded (`adopt`), elsewhere it loads one (`load`).
// A logit processor sees the raw logits of every step and may force the token that is taken.

import { forcing } from "./forcing.js";
import { best } from "./logits.js";

/** @import { Model } from "../../site/config.js" */
/** @import { Prompts } from "../../site/template.js" */
/** @import { ChatCompletionMessageParam } from "../../site/vendor/web-llm.js" */
/** @import { Best } from "./logits.js" */

// The page's own modules lie in a folder named by their digest; the manifest says which.
const SITE = new URL("../", import.meta.url);
const { app } = await (await fetch(new URL("manifest.json", SITE))).json();
/** @param {string} name */
const own = (name) => import(new URL(`${app}${name}`, SITE).href);
const { appConfig, readConfig } = await own("config.js");
const { promptsOf } = await own("template.js");

const FORBIDDEN = -1e4;

class Recorder {
  /** @type {Best[]} */
  steps = [];
  /** @type {number[]} */
  sampled = [];
  /** @type {number[] | null} */
  forced = null;
  keep = 0;

  /** @param {{ forced?: number[] | null, keep?: number }} [what] */
  restart({ forced = null, keep = 1 } = {}) {
    Object.assign(this, { steps: [], sampled: [], forced, keep });
  }

  /** @param {Float32Array} logits */
  processLogits(logits) {
    this.steps.push(best(logits, this.keep));
    if (this.forced !== null) {
      // Far below every other logit and still finite: softmax gives exactly 0 and 1.
      logits.fill(FORBIDDEN);
      logits[this.forced[this.steps.length - 1]] = 0;
    }
    return logits;
  }

  /** @param {number} token */
  processSampledToken(token) {
    this.sampled.push(token);
  }

  resetState() {}
}

const recorder = new Recorder();
/** @type {any} web-llm's; what is used of it beyond chat has no public type. */
let engine = null;
/** @type {Model} */
let model;
/** @type {Prompts | null} */
let prompts = null;
// null: this library or this web-llm has no way to look at many positions at once.
/** @type {ReturnType<typeof forcing>} */
let many = null;

/** @param {number | null} seconds */
async function ready(seconds) {
  many = forcing(engine);
  const { info } = /** @type {GPUAdapter} */ (await navigator.gpu.requestAdapter());
  return {
    seconds,
    library: { arithmetic: model.arithmetic, choice: model.choice ?? null, path: model.lib },
    adapter: [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" "),
    atOnce: many !== null,
  };
}

/** @type {any} */ (globalThis).webslm = {
  async load() {
    const { MLCEngine } = await own("vendor/web-llm.js");
    ({ model } = await readConfig());
    prompts = await promptsOf(model);
    engine = new MLCEngine({
      appConfig: appConfig(model),
      logitProcessorRegistry: new Map([[model.id, recorder]]),
    });
    const began = performance.now();
    await engine.reload(model.id);
    return ready((performance.now() - began) / 1000);
  },

  // web-llm takes a logit processor at a load only; the page's own answers are over by now.
  /** @param {any} loaded */
  async adopt(loaded) {
    ({ model } = await readConfig());
    prompts = await promptsOf(model);
    engine = loaded;
    engine.loadedModelIdToPipeline.get(model.id).logitProcessor = recorder;
    return ready(null);
  },

  /**
   * Greedy answer through chat completions: the path that the page takes.
   * @param {{ messages: ChatCompletionMessageParam[], maxTokens: number, keep: number }} words
   */
  async ask({ messages, maxTokens, keep }) {
    await engine.resetChat();
    // Stop may have been pressed after the end of the answer before.
    engine.interruptSignal = false;
    recorder.restart({ keep });
    const reply = await engine.chat.completions.create({
      messages: prompts?.next(messages) ?? messages, max_tokens: maxTokens, temperature: 0, repetition_penalty: 1,
    });
    many?.forget();
    const [choice] = reply.choices;
    return {
      text: choice.message.content,
      finish: choice.finish_reason,
      tokens: recorder.sampled,
      steps: recorder.steps,
      promptTokens: reply.usage.prompt_tokens,
    };
  },

  /**
   * Feeds a prompt and then a given continuation; returns the best raw logits at each position.
   * @param {{ prompt: number[], continuation: number[], keep: number }} words
   */
  async follow({ prompt, continuation, keep }) {
    if (many !== null) {
      return many.follow(prompt, continuation, keep);
    }
    await engine.resetChat();
    recorder.restart({ forced: continuation, keep });
    let input = prompt;
    for (const [position, token] of continuation.entries()) {
      const taken = await engine.forwardTokensAndSample(input, position === 0);
      if (taken !== token) {
        throw new Error(`position ${position}: ${token} was forced, ${taken} was sampled`);
      }
      input = [token];
    }
    return recorder.steps;
  },
};
if (globalThis.document) {
  document.documentElement.dataset.harness = "ready";
}
