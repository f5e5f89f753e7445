// Owns the question "can this browser run the model?" and answers it before any download.

import { Problem } from "./problem.js";

export async function checkSupport(model) {
  if (!globalThis.isSecureContext) {
    throw new Problem({
      kind: "unsupported",
      title: "This address is not secure",
      text: "Browsers allow WebGPU only on pages served over https and on this machine (localhost).",
      advice: "Open the page over https, or ask whoever runs this site to do so.",
    });
  }
  if (!globalThis.caches || !globalThis.WebAssembly || !globalThis.Worker) {
    throw new Problem({
      kind: "unsupported",
      title: "This browser is too old",
      text: "It lacks WebAssembly, workers or a cache for the model.",
      advice: "Use a current Chrome, Edge, Firefox or Safari, and not a private window.",
    });
  }
  const adapter = navigator.gpu ? await navigator.gpu.requestAdapter().catch(() => null) : null;
  if (!adapter) {
    throw new Problem({
      kind: "unsupported",
      title: "This browser cannot use the graphics chip",
      text: "The model needs WebGPU, which is "
        + (navigator.gpu ? "offered here but found no usable graphics adapter." : "not available in this browser."),
      advice: "Use a current Chrome or Edge on a computer or a recent phone, and switch hardware acceleration on in its settings.",
      details: `navigator.gpu: ${navigator.gpu ? "present" : "absent"}\n${navigator.userAgent}`,
    });
  }
  const missing = model.required_features.filter((feature) => !adapter.features.has(feature));
  if (missing.length > 0) {
    throw new Problem({
      kind: "unsupported",
      title: "This graphics chip lacks a feature",
      text: `This model was built for chips with ${missing.join(" and ")}.`,
      advice: "Try another device, or a build of this assistant with 32-bit arithmetic.",
      details: `required: ${model.required_features.join(", ")}\n${navigator.userAgent}`,
    });
  }
}
