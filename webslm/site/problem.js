// Owns turning any failure into plain words; the raw text is kept for the details fold.

export class Problem extends Error {
  constructor({ kind = "failed", title, text, advice = "", details = "" }) {
    super(`${title}: ${text}`);
    Object.assign(this, { kind, title, text, advice, details });
  }
}

const KNOWN = [
  {
    match: /QuotaExceeded|quota/i,
    title: "Not enough room for the model",
    text: "The browser refused to store the download.",
    advice: "Free some disk space or leave the private window, then try again.",
  },
  {
    match: /ContextWindowSizeExceeded|exceeds? (the )?context/i,
    kind: "message",
    title: "This conversation is too long",
    text: "The model can only read a limited amount of text at once.",
    advice: "Start a new chat, or ask a shorter question.",
  },
  {
    match: /ShaderF16Support|FeatureSupportError/i,
    title: "This graphics chip lacks a feature",
    text: "The model needs arithmetic that this device does not offer.",
    advice: "Try another device.",
  },
  {
    match: /DeviceLost|device (was|is) lost|out of memory/i,
    title: "The graphics chip ran out of memory",
    text: "The browser took the graphics device away from this page.",
    advice: "Close other tabs and programs, then try again.",
  },
  {
    match: /WebGPUNotAvailable/i,
    title: "This browser cannot use the graphics chip",
    text: "The model needs WebGPU, which is not available.",
    advice: "Use a current Chrome or Edge.",
  },
  {
    match: /IntegrityError|integrity/i,
    title: "A file is not the published one",
    text: "Its fingerprint does not match, so it was not used.",
    advice: "Delete the downloaded model under \"About this assistant\", then try again.",
  },
  {
    match: /unreachable|RuntimeError|ExitStatus|LinkError|CompileError|Cannot find (global )?function/i,
    title: "The model stopped with an internal error",
    text: "The compiled model reported a fault and cannot go on.",
    advice: "Try again. If it happens again, send the details below to whoever runs this site.",
  },
  {
    match: /Failed to fetch|NetworkError|Request failed|Load failed|server answered/i,
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

// `output` is what the compiled model printed before it stopped: often the real reason.
export function explain(error, output = [], { starting = false } = {}) {
  if (error instanceof Problem) {
    return error;
  }
  const raw = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const lines = output.filter((line) => line.trim() !== "");
  const known = KNOWN.find((entry) => entry.match.test(raw)) ?? (starting ? CANNOT_START : UNKNOWN);
  const { match, ...words } = known;
  const reason = match?.source.includes("unreachable") ? spoken(lines) : "";
  const text = reason ? `${words.text} It said: ${reason}` : words.text;
  return new Problem({ ...words, text, details: [...lines, raw].join("\n") });
}

// The line of a printed C++ traceback that names the fault, cut to a readable length.
function spoken(lines) {
  const found = lines.findLast((line) => /^\w*Error: /.test(line)) ?? lines.at(-1) ?? "";
  return found.length > LONGEST_REASON ? `${found.slice(0, LONGEST_REASON)}…` : found;
}
