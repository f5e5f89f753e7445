// Owns the worker: web-llm's handler, and a copy of what the compiled model prints.
// A C++ error is printed and then traps; the trap alone says only "unreachable".

import { WebWorkerMLCEngineHandler } from "./vendor/web-llm.js";

for (const level of ["error", "warn"]) {
  const original = console[level].bind(console);
  console[level] = (...words) => {
    original(...words);
    self.postMessage({ kind: "webslm-output", level, text: words.map(String).join(" ") });
  };
}

const handler = new WebWorkerMLCEngineHandler();
self.onmessage = (event) => handler.onmessage(event);
self.postMessage({ kind: "webslm-alive" });
