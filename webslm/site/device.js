// Owns what can be known of this device without downloading anything. Judges nothing.

/**
 * The graphics adapter.
 * @typedef {object} Graphics
 * @property {boolean} found
 * @property {string[]} features
 * @property {Record<string, number>} limits
 * @property {string} name
 * @property {boolean} software Whether the processor does its work.
 */

const LIMITS = /** @type {const} */ (["maxBufferSize", "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage", "maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupStorageSize"]);

/** @type {Promise<Graphics> | null} */
let asked = null;

// Asked once.
export function graphics() {
  asked ??= describe();
  return asked;
}

/** @typedef {Awaited<ReturnType<typeof inspectDevice>>} Device */

export async function inspectDevice() {
  // Not every browser has all of these.
  const { connection, storage, deviceMemory, userAgentData } = /** @type {any} */ (navigator);
  const { quota = null, usage = null } = (await storage?.estimate?.().catch(() => null)) ?? {};
  return {
    secure: globalThis.isSecureContext,
    lacking: ["caches", "WebAssembly", "Worker"].filter((name) => !(name in globalThis)),
    webgpu: Boolean(navigator.gpu),
    graphics: await graphics(),
    memory_gb: /** @type {number | null} */ (deviceMemory ?? null),
    phone: /** @type {boolean} */ (userAgentData?.mobile ?? /Android|iPhone|iPad|Mobile/.test(navigator.userAgent)),
    storage: { quota, usage, kept_for_good: (await storage?.persisted?.().catch(() => null)) ?? null },
    connection: {
      online: navigator.onLine,
      type: connection?.type ?? null,
      save_data: connection?.saveData ?? false,
    },
    isolated: globalThis.crossOriginIsolated ?? false,
    offline_ready: Boolean(navigator.serviceWorker?.controller),
    agent: navigator.userAgent,
  };
}

/**
 * True when bytes may cost money: the browser says so, it does not guess.
 * @param {Device["connection"]} connection
 */
export function isMetered({ type, save_data: saving }) {
  return saving || type === "cellular";
}

/** @returns {Promise<Graphics>} */
async function describe() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) {
    return { found: false, features: [], limits: {}, name: "", software: false };
  }
  const { info } = adapter;
  return {
    found: true,
    features: [...adapter.features].sort(),
    limits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
    name: [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(" "),
    software: Boolean(info?.isFallbackAdapter ?? /** @type {any} */ (adapter).isFallbackAdapter)
      || /swiftshader|llvmpipe|basic render/i.test(`${info?.architecture} ${info?.description}`),
  };
}
