// Owns forced decoding of many positions at once: one call of the library's `batch_verify` returns the
// logits of every position it is given. web-llm looks that function up by itself in no release, so this
// reaches for what its pipeline is made of: the virtual machine, the cache, and what runs a prompt.

import { best } from "./logits.js";

/** @import { Best } from "./logits.js" */

const ALL_LOGITS = "batch_verify";
const DROP_LAST = "vm.builtin.kv_state_popn";
// Logits of one call, on the graphics chip and in the library's memory.
const MOST_BYTES = 2 ** 26;
// Positions that the widest kernels compute together: a call of fewer takes as long.
const TILE = 64;

/**
 * Returns how to look at many positions of an engine's model; null where its library cannot.
 * @param {any} engine web-llm's, with a model loaded; its pipeline has no public type.
 */
export function forcing(engine) {
  const [pipeline] = engine.loadedModelIdToPipeline.values();
  if (!pipeline.kvCache || pipeline.rnnState) {
    return null;
  }
  const { tvm, vm } = pipeline;
  tvm.beginScope();
  try {
    const verify = tvm.detachFromCurrentScope(vm.getFunction(ALL_LOGITS));
    const drop = tvm.detachFromCurrentScope(tvm.getGlobalFunc(DROP_LAST));
    return new Forcing(engine, pipeline, { verify, drop });
  } catch {
    return null;
  } finally {
    tvm.endScope();
  }
}

class Forcing {
  #engine;
  #pipeline;
  #calls;
  // What the cache holds of this class's making; null: something else.
  /** @type {number[] | null} */
  #held = null;

  /**
   * @param {any} engine
   * @param {any} pipeline
   * @param {any} calls The library's and the virtual machine's functions.
   */
  constructor(engine, pipeline, calls) {
    this.#engine = engine;
    this.#pipeline = pipeline;
    this.#calls = calls;
  }

  // Says that something else has used the cache.
  forget() {
    this.#held = null;
  }

  /**
   * Returns the `keep` best raw logits before each token of a continuation. What the prompt has in common
   * with the one before is not computed again; the continuation always is.
   * @param {number[]} prompt
   * @param {number[]} continuation
   * @param {number} keep
   */
  async follow(prompt, continuation, keep) {
    const held = await this.#rewind(prompt);
    const size = this.#pipeline.prefillChunkSize;
    // The first of the continuation's tokens is what the prompt's last position says.
    const given = [...prompt.slice(held.length), ...continuation.slice(0, -1)];
    const whole = Math.ceil(continuation.length / TILE) * TILE;
    const before = given.splice(0, Math.max(0, given.length - whole));
    for (let start = 0; start < before.length; start += size) {
      await this.#prefill(before.slice(start, start + size));
    }
    const most = Math.max(1, Math.min(size, Math.floor(MOST_BYTES / 4 / this.#pipeline.fullVocabSize)));
    /** @type {Best[]} */
    const steps = [];
    for (let start = 0; start < given.length; start += most) {
      steps.push(...await this.#verify(given.slice(start, start + most), keep));
    }
    return steps.slice(-continuation.length);
  }

  /**
   * Leaves in the cache what a prompt begins with; returns that.
   * @param {number[]} prompt
   */
  async #rewind(prompt) {
    if (this.#held === null) {
      await this.#engine.resetChat();
      this.#held = [];
    }
    const held = this.#held;
    let common = 0;
    while (common < Math.min(held.length, prompt.length - 1) && held[common] === prompt[common]) {
      common += 1;
    }
    const surplus = held.length - common;
    if (surplus > 0) {
      const { tvm, kvCache } = this.#pipeline;
      this.#calls.drop(kvCache, tvm.scalar(0, "int64"), tvm.scalar(surplus, "int32"));
      this.#moved(-surplus);
      held.length = common;
    }
    return held;
  }

  /** @param {number[]} tokens */
  async #prefill(tokens) {
    const { tvm } = this.#pipeline;
    tvm.beginScope();
    await this.#pipeline.embedAndForward([tokens], tokens.length);
    tvm.endScope();
    this.#held?.push(...tokens);
  }

  /**
   * @param {number[]} tokens
   * @param {number} keep
   */
  async #verify(tokens, keep) {
    const pipeline = this.#pipeline;
    const { tvm, kvCache } = pipeline;
    tvm.beginScope();
    const rows = pipeline.getTokensEmbeddings(tokens);
    pipeline.fKVCacheBeginForward(kvCache, tvm.makeShapeTuple([0]), tvm.makeShapeTuple([tokens.length]));
    const result = this.#calls.verify(rows.view([1, ...rows.shape]), kvCache, pipeline.params);
    pipeline.fKVCacheEndForward(kvCache);
    this.#moved(tokens.length);
    this.#held?.push(...tokens);
    const logits = result.get(0);
    const here = tvm.empty(logits.shape, logits.dtype, tvm.cpu()).copyFrom(logits);
    await pipeline.device.sync();
    const values = here.toArray();
    tvm.endScope();
    const size = values.length / tokens.length;
    return tokens.map((_, row) => best(values.subarray(row * size, (row + 1) * size), keep));
  }

  /** @param {number} count */
  #moved(count) {
    this.#pipeline.filledKVCacheLength += count;
  }
}
