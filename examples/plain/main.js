// A whole page with a bundle's model: check the device, load, ask, stop, and say what went wrong.

import { Assistant, Problem } from "./bundle/webslm.js";

const byId = (id) => document.getElementById(id);
const assistant = await Assistant.open();
const turns = [];

byId("disclaimer").textContent = assistant.config.disclaimer;
const verdict = await assistant.check();
byId("status").textContent = verdict.title;
byId("load").disabled = verdict.level === "stop";

byId("load").addEventListener("click", async () => {
  byId("load").disabled = true;
  try {
    await assistant.load(({ share, label }) => {
      byId("status").textContent = `${label}, ${Math.round(share * 100)} %`;
    });
    byId("status").textContent = "Ready";
    setAsking(false);
  } catch (error) {
    tell(error);
    byId("load").disabled = false;
  }
});

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = byId("answer");
  answer.textContent = "";
  setAsking(true);
  turns.push({ role: "user", content: byId("question").value });
  try {
    for await (const { text, finish } of assistant.chat(turns)) {
      answer.append(text ?? "");
      byId("status").textContent = finish ?? "Answering";
    }
    turns.push({ role: "assistant", content: answer.textContent });
  } catch (error) {
    turns.pop();
    tell(error);
    // After a lost graphics device or the like the model has to be loaded again.
    byId("load").disabled = error instanceof Problem && error.kind === "message";
  }
  setAsking(false);
});

byId("stop").addEventListener("click", () => assistant.interrupt());

function setAsking(asking) {
  byId("question").disabled = asking;
  byId("ask").disabled = asking;
  byId("stop").disabled = !asking;
}

function tell(error) {
  byId("status").textContent = error instanceof Problem
    ? `${error.title}. ${error.text} ${error.advice}` : String(error);
}
