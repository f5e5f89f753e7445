// Owns the worker: web-llm's handler, a copy of what the compiled model prints, and word of a lost
// graphics device. A C++ error is printed and then traps; the trap alone says only "unreachable".

import { HANDLER } from "./names.js";
import { WebWorkerMLCEngineHandler } from "./vendor/web-llm.js";

for (const level of /** @type {const} */ (["error", "warn"])) {
  const original = console[level].bind(console);
  console[level] = (...words) => {
    original(...words);
    self.postMessage({ kind: "webslm-output", level, text: words.map(String).join(" ") });
  };
}

// web-llm gives up a lost device in silence, and an answer that was under way never ends.
if (globalThis.GPUAdapter) {
  const { requestDevice } = GPUAdapter.prototype;
  /** @param {GPUDeviceDescriptor} [descriptor] */
  GPUAdapter.prototype.requestDevice = async function watched(descriptor) {
    const device = await requestDevice.call(this, descriptor);
    device.lost.then(({ reason, message }) => {
      self.postMessage({ kind: "webslm-lost", text: `${reason || "unknown"}: ${message}` });
    });
    return device;
  };
}

const handler = new WebWorkerMLCEngineHandler();
// The proof measures the very model that the page has loaded.
/** @type {any} */ (self)[HANDLER] = handler;
self.onmessage = (event) => {
  if (event.data.kind === "chatCompletionNonStreaming") {
    // A stop that came after the end of an answer would else be taken for one of this whole answer.
    /** @type {any} */ (handler.engine).interruptSignal = false;
  }
  handler.onmessage(event);
};
self.postMessage({ kind: "webslm-alive" });
