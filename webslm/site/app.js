// Owns the conversation and what happens when; the parts do the work.

import { readableBytes, readConfig } from "./config.js";
import { forget, isDownloaded } from "./download.js";
import { Engine } from "./engine.js";
import { explain } from "./problem.js";
import { checkSupport } from "./support.js";
import {
  addMessage, clearLog, elements, fitInput, hideProblem, showFacts, showProblem, showProgress,
  showQuestions, showState,
} from "./view.js";

let config = null;
let engine = null;
let history = [];
let interrupted = false;

async function start() {
  showState("starting");
  hideProblem();
  try {
    config ??= await readConfig();
    showAbout();
    await checkSupport(config.model);
    await offerLoad();
  } catch (error) {
    fail(explain(error));
  }
}

function showAbout() {
  elements["system-prompt"].textContent = config.system_prompt ?? "None: the model was trained without.";
  showFacts([
    ["Model", `${config.model.id}, ${readableBytes(config.model.bytes)}`],
    ["Reads at once", `${config.model.context_window_size} tokens`],
    ...Object.entries(config.versions),
  ]);
  showQuestions(config.questions, ask);
}

async function offerLoad() {
  const kept = await isDownloaded(config.model);
  elements.load.textContent = kept
    ? "Start the model" : `Load the model (${readableBytes(config.model.bytes)})`;
  showState("idle");
}

async function load() {
  hideProblem();
  showState("loading");
  engine = new Engine(config);
  const began = performance.now();
  try {
    await engine.load(({ share, label, done, total }) => {
      const size = total ? `, ${readableBytes(done)} of ${readableBytes(total)}` : "";
      showProgress({ share, text: `${label}${size} – ${Math.floor(share * 100)} %` });
    });
    document.documentElement.dataset.loadSeconds = ((performance.now() - began) / 1000).toFixed(2);
    showState("ready");
    elements.input.focus();
    // Tidying up never fails a load.
    await forget(config.model, { keepCurrent: true }).catch(() => {});
  } catch (error) {
    fail(explain(error));
  }
}

async function ask(question) {
  const text = question.trim();
  if (!text || document.documentElement.dataset.state !== "ready") {
    return;
  }
  hideProblem();
  interrupted = false;
  addMessage("user", text);
  const answer = addMessage("assistant");
  showState("answering");
  const asked = [...history, { role: "user", content: text }];
  let said = "";
  try {
    for await (const event of engine.chat([...systemTurn(), ...asked])) {
      if (event.text !== undefined) {
        said += event.text;
        answer.append(event.text);
        if (interrupted) {
          // A stop that came before the first piece may have been forgotten by then.
          engine.interrupt();
        }
      } else {
        close(answer, event);
      }
    }
    // web-llm keeps its cache only when it gets back exactly what it said.
    history = [...asked, { role: "assistant", content: said }];
    showState("ready");
    elements.input.focus();
  } catch (error) {
    const problem = explain(error);
    answer.finish("failed", said ? "This answer broke off." : problem.title);
    fail(problem);
  }
}

// A model that was trained without a system prompt must not meet one now.
function systemTurn() {
  return config.system_prompt ? [{ role: "system", content: config.system_prompt }] : [];
}

function close(answer, { finish, usage }) {
  const notes = {
    length: "The answer reached its longest allowed length.",
    abort: "Stopped by you.",
  };
  const speed = usage?.extra?.decode_tokens_per_s;
  answer.finish(interrupted ? "interrupted" : "done", notes[interrupted ? "abort" : finish] ?? "", {
    finish: String(finish),
    tokens: String(usage?.completion_tokens ?? ""),
    tokensPerSecond: Number.isFinite(speed) ? speed.toFixed(2) : "",
  });
}

function fail(problem) {
  showProblem(problem);
  if (problem.kind === "message") {
    showState("ready");
    return;
  }
  // After a fault the compiled model is dead: only a new worker can help.
  engine?.dispose();
  engine = null;
  showState(problem.kind);
  (elements.retry.hidden ? elements.problem : elements.retry).scrollIntoView({ block: "nearest" });
}

function newChat() {
  history = [];
  clearLog();
  hideProblem();
  showState("ready");
  elements.input.focus();
}

async function forgetModel() {
  engine?.dispose();
  engine = null;
  history = [];
  clearLog();
  await forget(config.model);
  await start();
}

function submit() {
  const text = elements.input.value;
  if (document.documentElement.dataset.state === "ready" && text.trim()) {
    elements.input.value = "";
    fitInput();
    ask(text);
  }
}

elements.load.addEventListener("click", load);
elements.retry.addEventListener("click", () => (config ? load() : start()));
elements["new-chat"].addEventListener("click", newChat);
elements.forget.addEventListener("click", forgetModel);
elements.stop.addEventListener("click", () => {
  interrupted = true;
  engine?.interrupt();
});
elements.composer.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
elements.input.addEventListener("input", fitInput);
elements.input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  }
});

await start();
