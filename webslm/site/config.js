// Owns the page's configuration: reads webslm.json and makes every URL absolute.
// web-llm resolves nothing against the page, so a site under any sub-path needs this.

import { graphics } from "./device.js";

// The page's own files lie in app/<digest of them>/, so two builds of them can never mix.
const APP = new URL(".", import.meta.url);
export const SITE = new URL("../../", APP).href;

export async function readConfig() {
  const config = await readJson("webslm.json");
  const { features } = await graphics();
  for (const name of ["model", "base"].filter((key) => config[key])) {
    config[name] = locate(pickLibrary(config[name], features));
  }
  return config;
}

// What one mode needs, read when it is opened: a file of the folder facts.
export async function readFacts(name) {
  return readJson(`facts/${name}.json`);
}

// A model may come as several builds (16-bit and 32-bit), best first in `libs`; each entry
// replaces fields of the record. The first whose features are all there is taken; when none
// is, the last, so that the device check can say what is missing.
export function pickLibrary(model, features) {
  const { libs, ...record } = model;
  const choices = libs?.length ? libs : [{}];
  const fits = (choice) => (choice.required_features ?? record.required_features ?? [])
    .every((feature) => features.includes(feature));
  return { ...record, ...(choices.find(fits) ?? choices.at(-1)) };
}

// Adds absolute URLs, and to each file the cache scope in which web-llm looks for it.
function locate(model) {
  const url = new URL(model.url, SITE).href;
  const lib = new URL(model.lib, SITE).href;
  const library = { ...model.library, path: model.lib, url: lib, scope: "webllm/wasm" };
  const files = model.files.map((file) => ({
    ...file,
    url: new URL(file.path, url).href,
    scope: file.path === "mlc-chat-config.json" ? "webllm/config" : "webllm/model",
  }));
  const all = [library, ...files];
  return { ...model, url, lib, files: all, bytes: all.reduce((sum, file) => sum + file.bytes, 0) };
}

async function readJson(name) {
  const response = await fetch(new URL(name, APP));
  if (!response.ok) {
    throw new Error(`${name}: the server answered ${response.status}`);
  }
  return response.json();
}

// The record that web-llm's engine looks up by model_id.
export function appConfig(model) {
  return {
    cacheBackend: "cache",
    model_list: [
      {
        model: model.url,
        model_id: model.id,
        model_lib: model.lib,
        required_features: model.required_features,
        integrity: { ...model.integrity, onFailure: "error" },
      },
    ],
  };
}

export function readableBytes(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}
