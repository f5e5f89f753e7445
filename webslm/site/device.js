// Owns what can be known of this device without downloading anything. Judges nothing.

const LIMITS = ["maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupStorageSize"];

let asked = null;

// The graphics adapter: { found, features, limits, name, software }. Asked once.
export function graphics() {
  asked ??= describe();
  return asked;
}

export async function inspectDevice() {
  const { connection, storage } = navigator;
  const { quota = null, usage = null } = (await storage?.estimate?.().catch(() => null)) ?? {};
  return {
    secure: globalThis.isSecureContext,
    lacking: ["caches", "WebAssembly", "Worker"].filter((name) => !globalThis[name]),
    webgpu: Boolean(navigator.gpu),
    graphics: await graphics(),
    memory_gb: navigator.deviceMemory ?? null,
    phone: navigator.userAgentData?.mobile ?? /Android|iPhone|iPad|Mobile/.test(navigator.userAgent),
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

// True when bytes may cost money: the browser says so, it does not guess.
export function isMetered({ type, save_data: saving }) {
  return saving || type === "cellular";
}

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
    software: Boolean(info?.isFallbackAdapter ?? adapter.isFallbackAdapter)
      || /swiftshader|llvmpipe|basic render/i.test(`${info?.architecture} ${info?.description}`),
  };
}
