// Owns turning any failure into plain words; the raw text is kept for the details fold.

/**
 * A failure in words for visitors.
 * @typedef {object} Words
 * @property {string} title
 * @property {string} text What happened.
 * @property {string} [advice] What to do about it.
 * @property {string} [details] The raw text, for whoever runs the site.
 * @property {"failed" | "unsupported" | "message"} [kind]
 *   "failed": load again; "unsupported": this device cannot; "message": the model runs on.
 */

export class Problem extends Error {
  // Each is set by the constructor.
  /** @type {"failed" | "unsupported" | "message"} */ kind;
  /** @type {string} */ title;
  /** @type {string} */ text;
  /** @type {string} */ advice;
  /** @type {string} */ details;

  /** @param {Words} words */
  constructor({ kind = "failed", title, text, advice = "", details = "" }) {
    super(`${title}: ${text}`);
    this.kind = kind;
    this.title = title;
    this.text = text;
    this.advice = advice;
    this.details = details;
  }
}

/**
 * A failure that has words: told by the name of its class, or by a message where it has no class of its own.
 * A worker's errors come as texts, `name: message`.
 * @typedef {Words & { names: string[], says?: RegExp, inside?: boolean }} Known `inside`: of the compiled model.
 */

/** @type {Known[]} */
const KNOWN = [
  {
    names: ["QuotaExceededError"],
    says: /quota/i,
    title: "Not enough room for the model",
    text: "The browser refused to store the download.",
    advice: "Free some disk space or leave the private window, then try again.",
  },
  {
    names: ["ContextWindowSizeExceededError"],
    says: /exceeds? (the )?context/i,
    kind: "message",
    title: "This conversation is too long",
    text: "The model can only read a limited amount of text at once.",
    advice: "Start a new chat, or ask a shorter question.",
  },
  {
    names: ["ShaderF16SupportError", "FeatureSupportError"],
    title: "This graphics chip lacks a feature",
    text: "The model needs arithmetic that this device does not offer.",
    advice: "Try another device.",
  },
  {
    names: ["DeviceLostError"],
    says: /device (was|is) lost|out of memory/i,
    title: "The graphics chip was taken away",
    text: "The browser took the graphics device from this page: most often its memory ran out, its driver "
      + "started anew, or the computer slept.",
    advice: "Close other tabs and programs, then try again. What was downloaded is kept.",
  },
  {
    names: ["WebGPUNotAvailableError"],
    title: "This browser cannot use the graphics chip",
    text: "The model needs WebGPU, which is not available.",
    advice: "Use a current Chrome or Edge.",
  },
  {
    names: ["IntegrityError"],
    says: /integrity/i,
    title: "A file is not the published one",
    text: "Its fingerprint does not match, so it was not used.",
    advice: "Delete the downloaded model under \"About this assistant\", then try again.",
  },
  {
    names: ["RuntimeError", "ExitStatus", "LinkError", "CompileError"],
    says: /unreachable|Cannot find (global )?function/i,
    inside: true,
    title: "The model stopped with an internal error",
    text: "The compiled model reported a fault and cannot go on.",
    advice: "Try again. If it happens again, send the details below to whoever runs this site.",
  },
  {
    names: ["NetworkError"],
    says: /Failed to fetch|Request failed|Load failed|server answered/i,
    title: "A file could not be downloaded",
    text: "The server did not deliver a part of the model.",
    advice: "Check your connection and try again; what was already downloaded is kept.",
  },
];

const LONGEST_REASON = 240;

const UNKNOWN = {
  title: "Something went wrong",
  text: "This page met an error that it does not know.",
  advice: "Try again. If it happens again, send the details below to whoever runs this site.",
};
const CANNOT_START = {
  ...UNKNOWN,
  title: "The model could not be started",
  text: "It was downloaded, but this browser could not run it.",
};

/**
 * @param {unknown} error
 * @param {string[]} [output] What the compiled model printed before it stopped: often the real reason.
 * @param {{ starting?: boolean }} [when]
 */
export function explain(error, output = [], { starting = false } = {}) {
  if (error instanceof Problem) {
    return error;
  }
  const raw = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const lines = output.filter((line) => line.trim() !== "");
  const known = KNOWN.find(({ names, says }) => names.some((name) => isNamed(raw, name)) || says?.test(raw));
  const words = known ?? (starting ? CANNOT_START : UNKNOWN);
  const reason = known?.inside ? spoken(lines) : "";
  const text = reason ? `${words.text} It said: ${reason}` : words.text;
  return new Problem({ ...words, text, details: [...lines, raw].join("\n") });
}

/**
 * Whether a failure is of a class, also as the cause that another one names first.
 * @param {string} raw
 * @param {string} name
 */
function isNamed(raw, name) {
  return raw.split(": ").slice(0, -1).some((part) => part.endsWith(name)) || raw === name;
}

/**
 * The line of a printed C++ traceback that names the fault, cut to a readable length.
 * @param {string[]} lines
 */
function spoken(lines) {
  const found = lines.findLast((line) => /^\w*Error: /.test(line)) ?? lines.at(-1) ?? "";
  return found.length > LONGEST_REASON ? `${found.slice(0, LONGEST_REASON)}…` : found;
}
