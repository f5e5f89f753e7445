// A React page with a bundle's model, without JSX and without a bundler.

import { useAssistant } from "./assistant.js";

const { createElement: h, useState } = globalThis.React;

function App() {
  const { state, progress, turns, problem, config, load, ask, stop } = useAssistant();
  const [question, setQuestion] = useState("");
  const submit = (event) => {
    event.preventDefault();
    setQuestion("");
    ask(question);
  };
  return h("main", { "data-state": state },
    h("h1", null, config?.title ?? "A React page with a model"),
    h("p", null, config?.disclaimer),
    h("button", { id: "load", disabled: state !== "idle", onClick: load }, "Load"),
    state === "loading" ? h("progress", { value: progress, "aria-label": "Loading" }) : null,
    h("ol", null, turns.map(({ role, content }, at) => h("li", { key: at, className: role }, content))),
    h("form", { onSubmit: submit },
      h("input", {
        id: "question", value: question, disabled: state !== "ready", "aria-label": "Question",
        onChange: (event) => setQuestion(event.target.value),
      }),
      h("button", { id: "ask", disabled: state !== "ready" || !question.trim() }, "Ask"),
      h("button", { id: "stop", type: "button", disabled: state !== "answering", onClick: stop }, "Stop")),
    problem ? h("p", { role: "alert" }, `${problem.title ?? "Error"}: ${problem.text ?? problem}`) : null);
}

globalThis.ReactDOM.createRoot(document.getElementById("root")).render(h(App));
