// Owns what this site keeps in the browser: whole files where web-llm looks for them, parts of
// files whose download broke off, and the page's own files. Knows no network.

import { SITE } from "./config.js";

/** @import { Model, ModelFile } from "./config.js" */

const SCOPES = ["webllm/model", "webllm/config", "webllm/wasm"];
const PARTS = "webslm/parts";
const APP_CACHE = "webslm/app ";
const SHIPPED = [new URL("models/", SITE).href, new URL("lib/", SITE).href];

/** @param {ModelFile} file */
export async function isKept(file) {
  return Boolean(await (await caches.open(file.scope)).match(file.url));
}

/** @param {Model} model */
export async function missingBytes(model) {
  const kept = await Promise.all(model.files.map(isKept));
  return model.files.reduce((sum, file, index) => (kept[index] ? sum : sum + file.bytes), 0);
}

/** @param {ModelFile} file */
export async function readKept(file) {
  const response = await (await caches.open(file.scope)).match(file.url);
  return response ? new Uint8Array(await response.arrayBuffer()) : null;
}

/**
 * @param {ModelFile} file
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
export async function keep(file, bytes) {
  const type = file.url.endsWith(".wasm") ? "application/wasm"
    : file.url.endsWith(".json") ? "application/json" : "application/octet-stream";
  const headers = { "Content-Type": type, "Content-Length": String(bytes.length) };
  await (await caches.open(file.scope)).put(file.url, new Response(bytes, { headers }));
}

/** @param {ModelFile} file */
export async function drop(file) {
  await (await caches.open(file.scope)).delete(file.url);
}

// The received beginning of one file: stored in slices, so that a killed page loses little.
export class Parts {
  #url;
  #slice;
  /** @type {string[]} */
  #stored = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #tail = [];
  #tailLength = 0;
  length = 0;

  /**
   * @param {ModelFile} file
   * @param {number} slice Bytes after which what has arrived is stored.
   */
  constructor(file, slice) {
    this.#url = file.url;
    this.#slice = slice;
  }

  async restore() {
    const cache = await caches.open(PARTS);
    for (;;) {
      const key = this.#key(this.length);
      const response = await cache.match(key);
      if (!response) {
        return;
      }
      this.#stored.push(key);
      this.length += Number(response.headers.get("Content-Length"));
    }
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  async add(bytes) {
    this.#tail.push(bytes);
    this.#tailLength += bytes.length;
    this.length += bytes.length;
    if (this.#tailLength >= this.#slice) {
      await this.flush();
    }
  }

  async flush() {
    if (this.#tailLength === 0) {
      return;
    }
    const key = this.#key(this.length - this.#tailLength);
    const headers = { "Content-Length": String(this.#tailLength) };
    await (await caches.open(PARTS)).put(key, new Response(new Blob(this.#tail), { headers }));
    this.#stored.push(key);
    this.#tail = [];
    this.#tailLength = 0;
  }

  async join() {
    const cache = await caches.open(PARTS);
    const stored = await Promise.all(this.#stored.map(async (key) => (await cache.match(key))?.blob() ?? new Blob()));
    return new Uint8Array(await new Blob([...stored, ...this.#tail]).arrayBuffer());
  }

  async clear() {
    const cache = await caches.open(PARTS);
    await Promise.all(this.#stored.map((key) => cache.delete(key)));
    this.#stored = [];
    this.#tail = [];
    this.#tailLength = 0;
    this.length = 0;
  }

  /** @param {number} start */
  #key(start) {
    return `${this.#url}?from=${start}`;
  }
}

/**
 * Deletes what this site keeps of models; with keepCurrent, only what earlier builds left.
 * @param {Model[]} current
 */
export async function forget(current, { keepCurrent = false } = {}) {
  for (const scope of [...SCOPES, PARTS]) {
    const cache = await caches.open(scope);
    for (const { url } of await cache.keys()) {
      const ours = SHIPPED.some((prefix) => url.startsWith(prefix));
      const kept = current.some((model) => url.startsWith(model.url) || url.split("?")[0] === model.lib);
      if (ours && !(keepCurrent && kept)) {
        await cache.delete(url);
      }
    }
  }
  if (!keepCurrent) {
    for (const model of current) {
      mark(model, false);
    }
  }
}

// Bytes this site keeps: { model, app }; files of other sites on the same host are not counted.
export async function usedBytes() {
  /** @type {{ model: number, app: number }} */
  const used = { model: 0, app: 0 };
  for (const scope of await caches.keys()) {
    const which = scope.startsWith(APP_CACHE) ? "app" : "model";
    const cache = await caches.open(scope);
    for (const request of await cache.keys()) {
      if (request.url.startsWith(SITE)) {
        const response = await cache.match(request);
        used[which] += Number(response?.headers.get("Content-Length") ?? 0);
      }
    }
  }
  return used;
}

/**
 * Whether a whole model was kept here once: if it is gone now, the browser removed it.
 * @param {Model} model
 */
export function wasHere(model) {
  try {
    return localStorage.getItem(`webslm kept ${model.url}`) === "yes";
  } catch {
    return false;
  }
}

/**
 * @param {Model} model
 * @param {boolean} kept
 */
export function mark(model, kept) {
  try {
    if (kept) {
      localStorage.setItem(`webslm kept ${model.url}`, "yes");
    } else {
      localStorage.removeItem(`webslm kept ${model.url}`);
    }
  } catch {
    // Without it an eviction is not noticed; nothing else depends on it.
  }
}
