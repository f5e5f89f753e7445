// Owns the download: every file is checked against its sha256 before the browser keeps it.
// Files are put where web-llm looks for them, so that it finds only whole, right ones; a broken
// download continues file by file.

import { Problem } from "./problem.js";

const SCOPE = "webllm/model";
const SCOPES = [SCOPE, "webllm/config", "webllm/wasm"];

export async function isDownloaded(model) {
  const cache = await caches.open(SCOPE);
  const found = await Promise.all(model.files.map((file) => cache.match(file.url)));
  return found.every(Boolean);
}

// Calls onProgress(bytesDone, bytesTotal).
export async function download(model, onProgress) {
  await checkRoom(model.bytes);
  const cache = await caches.open(SCOPE);
  let done = 0;
  for (const file of model.files) {
    if (!(await cache.match(file.url))) {
      const before = done;
      const bytes = await fetchChecked(file, (count) => onProgress(before + count, model.bytes));
      const headers = { "Content-Type": "application/octet-stream", "Content-Length": String(bytes.length) };
      await cache.put(file.url, new Response(bytes, { headers }));
    }
    done += file.bytes;
    onProgress(done, model.bytes);
  }
}

// Deletes what this site keeps; with keepCurrent, only what earlier versions of it left.
export async function forget(current, { keepCurrent = false } = {}) {
  const models = new URL("models/", document.baseURI).href;
  const libraries = new URL("lib/", document.baseURI).href;
  for (const scope of SCOPES) {
    const cache = await caches.open(scope);
    for (const { url } of await cache.keys()) {
      const ours = url.startsWith(models) || url.startsWith(libraries);
      const kept = current.some((model) => url.startsWith(model.url) || url === model.lib);
      if (ours && !(keepCurrent && kept)) {
        await cache.delete(url);
      }
    }
  }
}

async function checkRoom(needed) {
  const { quota, usage } = (await navigator.storage?.estimate?.()) ?? {};
  if (quota !== undefined && quota - usage < needed) {
    throw new Problem({
      title: "Not enough room for the model",
      text: `It needs ${Math.ceil(needed / 1e6)} MB, and this browser offers ${Math.floor((quota - usage) / 1e6)} MB.`,
      advice: "Free some disk space or leave the private window, then try again.",
      details: `quota ${quota} bytes, used ${usage} bytes`,
    });
  }
}

async function fetchChecked(file, onBytes) {
  // The second try goes past the browser's own cache, which may hold the broken copy.
  for (const mode of ["default", "reload"]) {
    const bytes = await fetchBytes(file, mode, onBytes);
    if (bytes.length === file.bytes && (await sha256(bytes)) === file.sha256) {
      return bytes;
    }
  }
  throw new Problem({
    title: "A file arrived broken",
    text: `${file.path} is not the published file, so it was not used.`,
    advice: "Try again later. If it happens again, tell whoever runs this site.",
    details: `${file.url}\nexpected sha256 ${file.sha256}, ${file.bytes} bytes`,
  });
}

async function fetchBytes(file, mode, onBytes) {
  const response = await fetch(file.url, { cache: mode });
  if (!response.ok) {
    throw new Error(`${file.path}: the server answered ${response.status}`);
  }
  const parts = [];
  let count = 0;
  const reader = response.body.getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    parts.push(step.value);
    count += step.value.length;
    onBytes(Math.min(count, file.bytes));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
