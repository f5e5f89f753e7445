// Owns the download: every file the model needs is checked against its sha256 before it is used,
// also one that was kept before. A broken connection goes on where it stopped.

import { Meter } from "./progress.js";
import { Problem } from "./problem.js";
import { drop, isKept, keep, mark, Parts, readKept } from "./storage.js";

/** @import { Model, ModelFile } from "./config.js" */

/** @typedef {{ label: string, done: number, total: number, speed?: number | null, seconds?: number | null }} State */

export { forget } from "./storage.js";

const LOCK = "webslm download";
const SLICE_BYTES = 4 << 20;
const PAUSES_MS = [500, 1000, 2000];
const ONLINE_WITHIN_MS = 60_000;

/** @param {Model} model */
export async function isDownloaded(model) {
  return (await Promise.all(model.files.map(isKept))).every(Boolean);
}

/**
 * @param {Model} model
 * @param {(state: State) => void} onProgress
 */
export async function download(model, onProgress) {
  const run = () => fetchMissing(model, onProgress);
  if (!navigator.locks) {
    return run();
  }
  const done = await navigator.locks.request(LOCK, { ifAvailable: true }, async (lock) => {
    if (lock !== null) {
      await run();
    }
    return lock !== null;
  });
  if (!done) {
    onProgress({ label: "Another tab is downloading the model", done: 0, total: model.bytes });
    await navigator.locks.request(LOCK, run);
  }
  return undefined;
}

/**
 * @param {Model} model
 * @param {(state: State) => void} onProgress
 */
async function fetchMissing(model, onProgress) {
  const total = model.bytes;
  let done = 0;
  const missing = [];
  for (const file of model.files) {
    if (await isWhole(file)) {
      done += file.bytes;
      onProgress({ label: "Checking what is kept", done, total });
    } else {
      missing.push(file);
    }
  }
  await checkRoom(missing.reduce((sum, file) => sum + file.bytes, 0));
  /** @type {Meter | null} */
  let meter = null;
  for (const file of missing) {
    await fetchChecked(file, (count) => {
      // What an earlier visit left must not count as speed.
      meter ??= new Meter(done + count);
      onProgress({ label: "Downloading", done: done + count, total, ...meter.measure(done + count, total) });
    });
    done += file.bytes;
  }
  mark(model, true);
  if (missing.length > 0) {
    await navigator.storage?.persist?.().catch(() => false);
  }
}

/** @param {ModelFile} file */
async function isWhole(file) {
  const bytes = await readKept(file);
  if (bytes === null) {
    return false;
  }
  const good = await isPublished(file, bytes);
  if (!good) {
    await drop(file);
  }
  return good;
}

/**
 * @param {ModelFile} file
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
async function isPublished(file, bytes) {
  return bytes.length === file.bytes && (await sha256(bytes)) === file.sha256;
}

/** @param {number} needed */
async function checkRoom(needed) {
  const { quota, usage } = (await navigator.storage?.estimate?.()) ?? {};
  if (quota !== undefined && usage !== undefined && quota - usage < needed) {
    throw noRoom(`needed ${needed} bytes; quota ${quota} bytes, used ${usage} bytes`);
  }
}

/** @param {string} details */
function noRoom(details) {
  return new Problem({
    title: "Not enough room for the model",
    text: "The browser refused to store the download. What was already stored is kept.",
    advice: "Free some disk space or leave the private window, then try again.",
    details,
  });
}

/**
 * @param {ModelFile} file
 * @param {(count: number) => void} onBytes
 */
async function fetchChecked(file, onBytes) {
  const parts = new Parts(file, SLICE_BYTES);
  await parts.restore();
  try {
    // The second try goes past the browser's own cache, which may hold the broken copy.
    for (const mode of /** @type {const} */ (["default", "reload"])) {
      await receiveAll(file, parts, mode, onBytes);
      const bytes = await parts.join();
      if (await isPublished(file, bytes)) {
        await keep(file, bytes);
        await parts.clear();
        return;
      }
      await parts.clear();
    }
  } catch (error) {
    throw error instanceof Error && /quota/i.test(error.name) ? noRoom(`${file.path}: ${error}`) : error;
  }
  throw new Problem({
    title: "A file arrived broken",
    text: `${file.path} is not the published file, so it was not used.`,
    advice: "Try again later. If it happens again, tell whoever runs this site.",
    details: `${file.url}\nexpected sha256 ${file.sha256}, ${file.bytes} bytes`,
  });
}

/**
 * Ends when the server has nothing more to give; throws when it stays silent.
 * @param {ModelFile} file
 * @param {Parts} parts
 * @param {RequestCache} mode
 * @param {(count: number) => void} onBytes
 */
async function receiveAll(file, parts, mode, onBytes) {
  let failures = 0;
  while (parts.length < file.bytes) {
    const before = parts.length;
    try {
      if (await receive(file, parts, mode, onBytes) === "no more") {
        return;
      }
    } catch (error) {
      await parts.flush();
      failures = parts.length > before ? 0 : failures + 1;
      if (isFinal(error) || failures > PAUSES_MS.length) {
        throw error;
      }
      await online();
      await new Promise((resolve) => { setTimeout(resolve, PAUSES_MS[Math.max(0, failures - 1)]); });
    }
  }
}

/**
 * @param {ModelFile} file
 * @param {Parts} parts
 * @param {RequestCache} mode
 * @param {(count: number) => void} onBytes
 */
async function receive(file, parts, mode, onBytes) {
  const from = parts.length;
  /** @type {HeadersInit} */
  const headers = from > 0 ? { Range: `bytes=${from}-` } : {};
  // A stored response cannot be trusted to hold the rest of what came before.
  const response = await fetch(file.url, { cache: from > 0 ? "no-store" : mode, headers });
  if (response.status === 416) {
    return "no more";
  }
  if (!response.ok) {
    throw refusal(file, response.status);
  }
  // A server without ranges starts again: what is known already is passed over.
  let skip = response.status === 206 ? 0 : from;
  const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body).getReader();
  let got = 0;
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    got += step.value.length;
    const fresh = skip > 0 ? step.value.subarray(Math.min(skip, step.value.length)) : step.value;
    skip -= step.value.length - fresh.length;
    await parts.add(fresh);
    onBytes(Math.min(parts.length, file.bytes));
    if (parts.length > file.bytes) {
      await reader.cancel();
      return "no more";
    }
  }
  return parts.length === from || (got > 0 && parts.length >= file.bytes) ? "no more" : "more";
}

/**
 * @param {ModelFile} file
 * @param {number} status
 */
function refusal(file, status) {
  if (status === 404 || status === 410) {
    return new Problem({
      title: "A file could not be downloaded",
      text: `${file.path} is not on the server.`,
      advice: "Reload the page: the site may have been updated since you opened it.",
      details: `${file.path}: the server answered ${status}\n${file.url}`,
    });
  }
  return new Refusal(`${file.path}: the server answered ${status}`, status);
}

class Refusal extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * Whether it is no use to ask again.
 * @param {unknown} error
 */
function isFinal(error) {
  return error instanceof Problem
    || (error instanceof Refusal && error.status < 500 && error.status !== 408 && error.status !== 429);
}

async function online() {
  if (navigator.onLine !== false) {
    return;
  }
  await /** @type {Promise<void>} */ (new Promise((resolve) => {
    const timer = setTimeout(resolve, ONLINE_WITHIN_MS);
    addEventListener("online", () => { clearTimeout(timer); resolve(); }, { once: true });
  }));
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
