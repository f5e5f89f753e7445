// Owns the page's elements. Model output is only ever set as text.

const byId = (id) => document.getElementById(id);

export const elements = Object.fromEntries(
  ["status", "new-chat", "gate", "load", "progress", "progress-bar", "progress-text", "problem",
    "problem-title", "problem-text", "problem-advice", "problem-details", "retry", "log",
    "examples", "questions", "composer", "input", "send", "stop", "system-prompt", "facts",
    "forget"].map((id) => [id, byId(id)]),
);

const STATUS = {
  starting: "Starting",
  idle: "Not loaded",
  loading: "Loading",
  ready: "Ready",
  answering: "Answering",
  failed: "Stopped",
  unsupported: "Not supported",
};

export function showState(state) {
  const el = elements;
  document.documentElement.dataset.state = state;
  el.status.textContent = STATUS[state];
  const usable = state === "ready";
  const asked = el.log.childElementCount > 0;
  const started = usable || state === "answering";
  el.load.disabled = state !== "idle";
  el.load.hidden = state === "loading";
  el.progress.hidden = state !== "loading";
  el.input.disabled = !started;
  el.input.placeholder = placeholder(state, started);
  el.send.disabled = !usable;
  el.send.hidden = state === "answering";
  el.stop.hidden = state !== "answering";
  el["new-chat"].hidden = !usable || !asked;
  el.forget.disabled = state === "loading" || state === "answering";
  el.examples.hidden = asked || ["starting", "failed", "unsupported"].includes(state)
    || el.questions.childElementCount === 0;
  for (const button of el.questions.querySelectorAll("button")) {
    button.disabled = !usable;
  }
}

function placeholder(state, started) {
  if (state === "unsupported") {
    return "Not available here";
  }
  return started ? "Ask a question" : "Load the model first";
}

export function showProgress({ share, text }) {
  elements["progress-bar"].value = share;
  elements["progress-text"].textContent = text;
}

export function showProblem(problem) {
  elements.problem.hidden = false;
  elements["problem-title"].textContent = problem.title;
  elements["problem-text"].textContent = problem.text;
  elements["problem-advice"].textContent = problem.advice;
  elements["problem-details"].textContent = problem.details || problem.message;
  elements.retry.hidden = problem.kind === "unsupported" || problem.kind === "message";
}

export function hideProblem() {
  elements.problem.hidden = true;
}

export function showQuestions(questions, onAsk) {
  elements.questions.replaceChildren(...questions.map(({ text }) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.disabled = true;
    button.textContent = text;
    button.addEventListener("click", () => onAsk(text));
    item.append(button);
    return item;
  }));
}

export function showFacts(facts) {
  elements.facts.replaceChildren(...facts.flatMap(([name, value]) => {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    return [term, text];
  }));
}

// Returns handles to fill one message: append(text), finish(state, note).
export function addMessage(role, text = "") {
  const item = document.createElement("li");
  item.className = `message ${role}`;
  const speaker = document.createElement("span");
  speaker.className = "unseen";
  speaker.textContent = role === "user" ? "You:" : "Assistant:";
  const body = document.createElement("div");
  body.className = "text";
  body.textContent = text;
  item.append(speaker, body);
  item.dataset.state = role === "user" ? "done" : "waiting";
  // A screen reader should hear the whole answer once, not every piece of it.
  item.setAttribute("aria-busy", String(role !== "user"));
  elements.log.append(item);
  scrollToEnd();
  return {
    append(piece) {
      item.dataset.state = "streaming";
      const follow = nearEnd();
      body.textContent += piece;
      if (follow) {
        scrollToEnd();
      }
    },
    finish(state, note = "", data = {}) {
      item.dataset.state = state;
      Object.assign(item.dataset, data);
      item.setAttribute("aria-busy", "false");
      if (note) {
        const line = document.createElement("span");
        line.className = "note";
        line.textContent = note;
        item.append(line);
      }
      scrollToEnd();
    },
  };
}

export function clearLog() {
  elements.log.replaceChildren();
}

export function fitInput() {
  elements.input.style.height = "auto";
  elements.input.style.height = `${elements.input.scrollHeight + 2}px`;
}

function nearEnd() {
  const page = document.scrollingElement;
  return page.scrollHeight - page.scrollTop - page.clientHeight < 120;
}

function scrollToEnd() {
  window.scrollTo({ top: document.scrollingElement.scrollHeight });
}
