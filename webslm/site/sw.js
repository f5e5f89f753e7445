// Owns the page's own files offline, one whole build at a time. The bundle stage puts a line
// `const BUILD = { id, files, headers };` before this one: files by path, each with its sha256.
// Names of builds differ (app/<digest>/…), so a new build never disturbs a tab with an old one;
// that is why it may take over at once. Weights are not its business: the page keeps them.

const worker = /** @type {ServiceWorkerScope} */ (/** @type {unknown} */ (self));
const SCOPE = worker.registration.scope;
const PREFIX = `webslm/app ${SCOPE} `;
const CACHE = PREFIX + BUILD.id;
const LIBRARIES = "webllm/wasm";
// Tabs of earlier builds may still import a module they have not needed so far.
const OLDER_BUILDS_KEPT = 2;

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(activate()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(SCOPE)) {
    return;
  }
  const path = url.href.slice(SCOPE.length).split(/[?#]/)[0];
  if (request.mode === "navigate" && path === "") {
    event.respondWith(answer(request, "index.html"));
  } else if (path in BUILD.files || path.startsWith("app/")) {
    event.respondWith(answer(request, path));
  } else if (path.startsWith("lib/")) {
    event.respondWith(library(request));
  }
});

async function install() {
  const cache = await caches.open(CACHE);
  const older = await Promise.all((await builds()).map((name) => caches.open(name)));
  await Promise.all(Object.entries(BUILD.files).map(([path, { sha256 }]) => add(cache, older, path, sha256)));
  await worker.skipWaiting();
}

async function activate() {
  const others = (await builds()).filter((name) => name !== CACHE);
  await Promise.all(others.slice(0, -OLDER_BUILDS_KEPT).map((name) => caches.delete(name)));
  await worker.clients.claim();
}

// In the order in which they were made.
async function builds() {
  return (await caches.keys()).filter((name) => name.startsWith(PREFIX));
}

/**
 * @param {Cache} cache
 * @param {Cache[]} older Caches of earlier builds.
 * @param {string} path
 * @param {string} sha256
 */
async function add(cache, older, path, sha256) {
  const url = SCOPE + path;
  if (await known(cache, url, sha256)) {
    return;
  }
  for (const source of older) {
    const same = await source.matchAll();
    const found = same.find((response) => response.headers.get("X-Webslm-Sha256") === sha256);
    if (found) {
      await cache.put(url, found);
      return;
    }
  }
  // Named by content, so what the browser has is as good; checked all the same.
  /** @type {RequestCache[]} */
  const modes = [path.startsWith("app/") ? "default" : "no-cache", "reload"];
  for (const mode of modes) {
    const response = await fetch(url, { cache: mode });
    const bytes = await response.arrayBuffer();
    if (response.ok && (await digest(bytes)) === sha256) {
      const headers = {
        ...BUILD.headers,
        "Content-Type": response.headers.get("Content-Type") ?? "application/octet-stream",
        "Content-Length": String(bytes.byteLength),
        "X-Webslm-Sha256": sha256,
      };
      await cache.put(url, new Response(bytes, { headers }));
      return;
    }
  }
  throw new Error(`${path} is not the published file`);
}

/**
 * @param {Cache} cache
 * @param {string} url
 * @param {string} sha256
 */
async function known(cache, url, sha256) {
  return (await cache.match(url))?.headers.get("X-Webslm-Sha256") === sha256;
}

/**
 * @param {Request} request
 * @param {string} path
 */
async function answer(request, path) {
  for (const name of [CACHE, ...(await builds()).reverse()]) {
    const found = await (await caches.open(name)).match(SCOPE + path);
    if (found) {
      return found;
    }
  }
  return fetch(request);
}

/**
 * web-llm keeps no library that comes from localhost, so it asks again every time.
 * @param {Request} request
 */
async function library(request) {
  return (await (await caches.open(LIBRARIES)).match(request.url)) ?? fetch(request);
}

/** @param {ArrayBuffer} bytes */
async function digest(bytes) {
  const found = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(found, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
