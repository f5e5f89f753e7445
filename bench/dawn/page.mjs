// Owns what a bundle expects of a browser and Node lacks: WebGPU (Dawn's Node module), a document,
// a cache, and a `fetch` that reads the site's folder and nothing else.

import { readFile } from "node:fs/promises";
import { createRequire, register } from "node:module";
import { join, resolve } from "node:path";
import { runInThisContext } from "node:vm";

// web-llm accepts http addresses only; the reserved top-level name can never be a real host.
const ORIGIN = "http://bundle.test";

// Without the toggle Dawn withholds `shader-f16` on NVIDIA's Vulkan driver; others ignore it.
// Quantized timestamps tell nothing of kernels that take microseconds.
// DAWN_F16=off leaves it out: a site with two libraries then takes the one for float32.
const DAWN_FLAGS = [
  "backend=vulkan",
  ...(process.env.DAWN_F16 === "off" ? [] : ["enable-dawn-features=vulkan_enable_f16_on_nvidia"]),
  "disable-dawn-features=timestamp_quantization",
];

// Makes this process look like a page at the site's root; returns { seen, globals, load, run }.
export function openPage({ site, dawnModule }) {
  const { create, globals } = createRequire(import.meta.url)(dawnModule);
  const seen = { webgpuErrors: [], consoleErrors: [], foreignRequests: [] };
  Object.assign(globalThis, globals);
  define("navigator", { gpu: create(DAWN_FLAGS), languages: ["en"], userAgent: "Node.js" });
  define("self", globalThis);
  define("location", new URL(`${ORIGIN}/`));
  define("document", { baseURI: `${ORIGIN}/`, URL: `${ORIGIN}/`, documentElement: { dataset: {} } });
  define("caches", { open: async () => new ForgetfulCache() });
  define("postMessage", () => {});
  define("fetch", (input) => readSite(site, input, seen));
  // web-llm asks for these two to find out where it runs: as in a worker, not as in Node.
  define("importScripts", () => {});
  define("process", undefined);
  watchConsole(seen);
  watchDevices(globals.GPUAdapter, seen);
  // The page's modules find its files from their own addresses, which a file's would mislead.
  register("./loader.mjs", import.meta.url, { data: { origin: ORIGIN, site: resolve(site) } });
  return {
    seen,
    globals,
    load: (name) => import(`${ORIGIN}/${name}`),
    run: async (name) => runInThisContext(await readFile(join(site, name), "utf8"), { filename: name }),
  };
}

// The disk is as near as a cache would be, and a large model is not held twice.
class ForgetfulCache {
  #known = new Set();

  async add(request) {
    this.#known.add(request.url);
  }

  async match(request) {
    return this.#known.has(request.url) ? fetch(request) : undefined;
  }

  async keys() {
    return [...this.#known].map((url) => new Request(url));
  }

  async delete(url) {
    return this.#known.delete(String(url));
  }
}

function define(name, value) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}

async function readSite(site, input, seen) {
  const url = new URL(input instanceof Request ? input.url : input, `${ORIGIN}/`);
  if (url.origin !== ORIGIN) {
    seen.foreignRequests.push(url.href);
    throw new TypeError(`no network here: ${url.href}`);
  }
  try {
    return new Response(await readFile(join(site, decodeURIComponent(url.pathname))));
  } catch (error) {
    return new Response(String(error), { status: 404 });
  }
}

function watchConsole(seen) {
  const original = console.error.bind(console);
  console.error = (...words) => {
    seen.consoleErrors.push(words.map(String).join(" "));
    original(...words);
  };
}

function watchDevices(GPUAdapter, seen) {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function watched(...words) {
    const device = await requestDevice.apply(this, words);
    device.addEventListener("uncapturederror", ({ error }) => seen.webgpuErrors.push(error.message));
    return device;
  };
}
