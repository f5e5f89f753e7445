// Owns the judgement "will the model run here?", made before any download from what device.js
// found and what the build says it needs. Pure: knows neither the browser nor the page.

import { readableBytes } from "./readable.js";

/** @import { Model } from "./config.js" */
/** @import { Device } from "./device.js" */

/**
 * One thing that was looked at.
 * @typedef {{ name: string, level: Level, text: string, advice: string, title?: string }} Check
 * @typedef {"good" | "warn" | "stop"} Level
 */

/**
 * Whether a model runs on a device, in words.
 * @typedef {{ level: Level, title: string, text: string, advice: string, checks: Check[] }} Verdict
 */

/** @type {Level[]} */
const LEVELS = ["good", "warn", "stop"];
// What web-llm asks the adapter for at the least, and what the library's kernels use.
const NEEDED_LIMITS = {
  maxStorageBuffersPerShaderStage: 10,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 32768,
};
// web-llm asks for the first of these that the adapter has, and gets no more than it asked for.
/** @type {Record<string, number[]>} */
const REQUESTED = { maxBufferSize: [2 ** 30, 2 ** 28], maxStorageBufferBindingSize: [2 ** 30, 2 ** 27] };
// A phone's browser closes a page that takes about this much, without a word.
const PHONE_BYTES = 1.2e9;
const GB = 2 ** 30;

/**
 * @param {Device} device
 * @param {Model} model
 * @param {{ missing: number, evicted?: boolean }} facts `missing`: bytes still to be downloaded;
 *   `evicted`: whether it was all here once.
 * @returns {Verdict}
 */
export function judge(device, model, { missing, evicted = false }) {
  const checks = [
    address(device), browser(device), chip(device), features(device, model), limits(device, model),
    memory(device, model), storage(device, missing, evicted),
  ].filter((check) => check !== null);
  const level = LEVELS[Math.max(...checks.map((check) => LEVELS.indexOf(check.level)))];
  const first = /** @type {Check} */ (checks.find((check) => check.level === level));
  return { level, ...headline(level, first), checks };
}

/**
 * @param {Level} level
 * @param {Check} first
 */
function headline(level, first) {
  if (level === "good") {
    return { title: "This device can run the model", text: "", advice: "" };
  }
  return level === "warn"
    ? { title: "This device can probably run the model", text: first.text, advice: first.advice }
    : { title: first.title ?? "", text: first.text, advice: first.advice };
}

/** @param {Device} device */
function address({ secure }) {
  return secure ? null : stop("Address", "This address is not secure",
    "Browsers allow WebGPU only on pages served over https and on this machine (localhost).",
    "Open the page over https, or ask whoever runs this site to do so.");
}

/** @param {Device} device */
function browser({ lacking }) {
  return lacking.length === 0 ? null : stop("Browser", "This browser is too old",
    `It lacks ${lacking.join(", ")}, which the model needs.`,
    "Use a current Chrome, Edge, Firefox or Safari, and not a private window.");
}

/** @param {Device} device */
function chip({ webgpu, graphics: { found, name, software } }) {
  if (!found) {
    return stop("Graphics chip", "This browser cannot use the graphics chip",
      `The model needs WebGPU, which is ${webgpu ? "offered here but found no usable graphics adapter."
        : "not available in this browser."}`,
      "Use a current Chrome or Edge on a computer or a recent phone, and switch hardware "
      + "acceleration on in its settings.");
  }
  return software
    ? warn("Graphics chip", `No graphics chip is in use: the processor does its work (${name}), so answers come slowly.`,
      "Switch hardware acceleration on in the browser's settings if this device has a graphics chip.")
    : good("Graphics chip", `WebGPU works (${name || "the browser does not name it"}).`);
}

/**
 * @param {Device} device
 * @param {Model} model
 */
function features({ graphics: { found, features: offered } }, { required_features: required = [], choice }) {
  const missing = required.filter((feature) => !offered.includes(feature));
  if (!found || missing.length === 0) {
    return found ? good("Arithmetic", `${required.includes("shader-f16")
      ? "16-bit arithmetic works; the 16-bit model is used" : "The 32-bit model is used, which every chip can run"}${
      choice ? `: ${choice}.` : "."}`) : null;
  }
  if (choice) {
    return stop("Arithmetic", "This graphics chip lacks a feature",
      `The library that was asked for needs ${missing.join(" and ")}.`,
      "Take library=… out of the address: the page then chooses the one that works here.");
  }
  return stop("Arithmetic", "This graphics chip lacks a feature",
    `This model was built for chips with ${missing.join(" and ")}.`,
    "Try another device, or a build of this assistant with 32-bit arithmetic.");
}

/**
 * @param {Device} device
 * @param {Model} model
 */
function limits({ graphics: { found, limits: offered } }, { memory: needs }) {
  if (!found) {
    return null;
  }
  /** @type {Record<string, number>} */
  const needed = { ...NEEDED_LIMITS };
  if (needs?.largest_buffer_bytes) {
    needed.maxBufferSize = needs.largest_buffer_bytes;
    needed.maxStorageBufferBindingSize = needs.largest_buffer_bytes;
  }
  /** @param {string} name */
  const granted = (name) => REQUESTED[name]?.find((size) => size <= offered[name]) ?? offered[name];
  const short = Object.entries(needed).filter(([name, least]) => granted(name) < least);
  return short.length === 0 ? good("Limits", "The chip's limits are high enough.")
    : stop("Limits", "This graphics chip is too small for the model",
      short.map(([name, least]) => `${name} is ${granted(name)}, the model needs ${least}.`).join(" "),
      "Try a computer, or a smaller model.");
}

/**
 * @param {Device} device
 * @param {Model} model
 */
function memory({ memory_gb: installed, phone }, { memory: needs }) {
  if (!needs) {
    return null;
  }
  const size = readableBytes(needs.total_bytes);
  const half = installed === null ? Infinity : (installed * GB) / 2;
  if (needs.total_bytes > half || (phone && needs.total_bytes > PHONE_BYTES)) {
    return warn("Memory", `The model takes about ${size} of graphics memory, which may be more than this device can spare.`,
      "Close other tabs and programs first. If the page disappears, this device is too small.");
  }
  return good("Memory", `The model takes about ${size} of graphics memory.`);
}

/**
 * @param {Device} device
 * @param {number} missing
 * @param {boolean} evicted
 * @returns {Check}
 */
function storage({ storage: { quota, usage } }, missing, evicted) {
  if (missing === 0) {
    return good("Storage", "The model is kept by this browser: nothing is downloaded.");
  }
  if (quota !== null && quota - usage < missing) {
    return stop("Storage", "Not enough room for the model",
      `It needs ${readableBytes(missing)}, and this browser offers ${readableBytes(Math.max(0, quota - usage))}.`,
      "Free some disk space or leave the private window, then try again.");
  }
  return evicted
    ? warn("Storage", "The browser removed the model to make room, so it must be downloaded again.",
      "Free some disk space, or install this page as an app: browsers then keep its files longer.")
    : good("Storage", `There is room for the download (${readableBytes(missing)}).`);
}

/** @type {(name: string, text: string) => Check} */
const good = (name, text) => ({ name, level: "good", text, advice: "" });
/** @type {(name: string, text: string, advice: string) => Check} */
const warn = (name, text, advice) => ({ name, level: "warn", text, advice });
/** @type {(name: string, title: string, text: string, advice: string) => Check} */
const stop = (name, title, text, advice) => ({ name, level: "stop", title, text, advice });

/**
 * Plain text to paste into a message; holds nothing but what is printed here.
 * @param {Device} device
 * @param {Model} model
 * @param {Verdict} verdict
 */
export function deviceReport(device, model, verdict) {
  const { graphics: chipFacts, storage: room, connection } = device;
  return [
    `verdict: ${verdict.level} – ${verdict.title}`,
    ...verdict.checks.map(({ name, level, text }) => `${level.padEnd(4)} ${name}: ${text}`),
    `model: ${model.id}, ${model.lib.split("/").at(-1)}, ${model.bytes} bytes`,
    `needs: features ${list(model.required_features)}; memory ${JSON.stringify(model.memory ?? null)}`,
    `adapter: ${chipFacts.name || "none"}`,
    `features: ${list(chipFacts.features)}`,
    `limits: ${JSON.stringify(chipFacts.limits)}`,
    `memory: ${device.memory_gb ?? "?"} GB; storage: ${room.usage ?? "?"} of ${room.quota ?? "?"} bytes used`
      + `, kept for good: ${room.kept_for_good}`,
    `connection: ${connection.type ?? "unknown"}, save data ${connection.save_data}; `
      + `isolated ${device.isolated}; offline ready ${device.offline_ready}`,
    `browser: ${device.agent}`,
  ].join("\n");
}

/** @param {string[] | undefined} values */
function list(values) {
  return values?.length ? values.join(" ") : "none";
}
