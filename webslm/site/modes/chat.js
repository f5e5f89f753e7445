// Owns the chat: one conversation at a time, streamed, kept on the device.

import { button, h } from "../dom.js";
import { Kept } from "../kept.js";
import { endNote, message } from "../messages.js";
import { conversation } from "../prompt.js";
import { samplingPanel } from "../sampling.js";
import { session } from "../session.js";

/** @import { Config } from "../config.js" */
/** @import { Child } from "../dom.js" */
/** @import { ChatEvent } from "../engine.js" */
/** @import { Conversation } from "../history.js" */
/** @import { Message } from "../messages.js" */
/** @import { Problem } from "../problem.js" */
/** @import { Turn } from "../prompt.js" */

const NEAR_END_PX = 160;

/** @param {HTMLElement} panel */
export async function fill(panel) {
  const chat = new Chat();
  panel.replaceChildren(...chat.parts());
  await chat.kept.show();
  chat.update();
}

class Chat {
  /** @type {Turn[]} */
  #turns = [];
  /** @type {string} */
  #id = crypto.randomUUID();
  /** @type {Message[]} */
  #shown = [];

  constructor() {
    const { config } = session;
    this.sampling = samplingPanel(config.decoding, config.model.context_window_size);
    this.log = h("ol", { id: "log" });
    this.examples = this.#examples(config.questions);
    this.input = h("textarea", {
      id: "input", rows: 1, oninput: () => this.#fit(), onkeydown: (event) => this.#key(event),
    });
    this.send = h("button", { id: "send", type: "submit", class: "main" }, "Send");
    this.stop = button("Stop", () => session.interrupt(), { id: "stop", class: "main", hidden: true });
    this.fresh = button("New chat", () => this.#open(), { id: "new-chat", class: "quiet", hidden: true });
    this.kept = new Kept(config, {
      open: (kept) => this.#open(kept), current: () => ({ id: this.#id, turns: this.#turns }),
    });
    session.addEventListener("state", () => this.update());
  }

  parts() {
    const { config } = session;
    /** @type {(id: string, summary: string, ...content: Child[]) => HTMLElement} */
    const fold = (id, summary, ...content) => h("details", { id, class: "fold" },
      h("summary", {}, summary), h("div", { class: "inside" }, ...content));
    return [
      h("div", { class: "tools" }, this.fresh,
        fold("told", "What it was told", h("blockquote", { id: "system-prompt" },
          config.system_prompt ?? "Nothing: the model was trained without a system prompt.")),
        fold("sampling", "Sampling", this.sampling.element),
        fold("kept", "Conversations", this.kept.parts())),
      h("div", { role: "log", "aria-label": "Conversation" }, this.log),
      this.examples,
      h("form", { id: "composer", onsubmit: (event) => { event.preventDefault(); this.#submit(); } },
        h("label", { class: "unseen", for: "input" }, "Your question"), this.input, this.send, this.stop),
    ];
  }

  update() {
    const { state, ready } = session;
    const started = ready || state === "answering";
    const asked = this.log.childElementCount > 0;
    this.input.disabled = !started;
    this.input.placeholder = started ? "Ask a question"
      : state === "unsupported" ? "Not available here" : "Load the model first";
    this.send.disabled = !ready;
    this.send.hidden = state === "answering";
    this.stop.hidden = state !== "answering";
    this.fresh.hidden = !ready || !asked;
    this.examples.hidden = asked || ["starting", "failed", "unsupported"].includes(state)
      || session.config.questions.length === 0;
    /** @type {NodeListOf<HTMLButtonElement>} */
    const offered = this.log.querySelectorAll(".needs-model button");
    for (const control of [...this.examples.querySelectorAll("button"), ...offered]) {
      control.disabled = !ready;
    }
    this.kept.update(state === "answering");
  }

  /** @param {Config["questions"]} questions */
  #examples(questions) {
    return h("section", { id: "examples", "aria-labelledby": "examples-title", hidden: true },
      h("h2", { id: "examples-title" }, "You could ask"),
      h("ul", { id: "questions" }, questions.map(({ text }) => h("li", {},
        button(text, () => this.#ask(text), { disabled: true })))));
  }

  #submit() {
    const text = this.input.value;
    if (session.ready && text.trim()) {
      this.input.value = "";
      this.#fit();
      this.#ask(text);
    }
  }

  /** @param {string} question */
  async #ask(question) {
    const text = question.trim();
    if (!text || !session.ready) {
      return;
    }
    this.#turns.push({ role: "user", content: text });
    this.#show("user", text, this.#turns.length - 1);
    await this.#answer();
  }

  // Answers the last user turn; `attempt` moves a fixed seed on, so that a retry says something else.
  async #answer(attempt = 0) {
    const answer = this.#show("assistant");
    const decoding = this.sampling.decoding();
    const seed = decoding.seed === null ? null : decoding.seed + attempt;
    let said = "";
    const began = performance.now();
    await session.busy(async () => {
      try {
        const messages = conversation(session.config, this.#turns);
        for await (const event of session.answer("tuned", messages, { ...decoding, seed })) {
          if (event.text === undefined) {
            this.#close(answer, event);
          } else {
            answer.item.dataset.firstPieceSeconds ??= ((performance.now() - began) / 1000).toFixed(3);
            said += event.text;
            this.#following(() => answer.append(event.text));
          }
        }
        // web-llm keeps its cache only when it gets back exactly what it said.
        this.#turns.push({ role: "assistant", content: said });
        this.#offer(answer, said, attempt);
        await this.kept.keep();
      } catch (error) {
        const problem = /** @type {Problem} */ (error);
        answer.finish("failed", said ? "This answer broke off." : problem.title);
        // To be asked again, or shortened, without typing it anew.
        this.input.value ||= this.#turns.at(-1)?.content ?? "";
        this.#fit();
        // What was not answered is not part of the conversation; it stays to be read, not edited.
        this.#turns.pop();
        for (const { item } of this.#shown.splice(this.#turns.length)) {
          item.querySelector(".actions")?.remove();
        }
        throw problem;
      }
    });
    this.update();
    if (!this.input.disabled) {
      this.input.focus({ preventScroll: true });
    }
  }

  /**
   * @param {Message} answer
   * @param {Extract<ChatEvent, { finish: string | null }>} end
   */
  #close(answer, { finish, usage }) {
    const speed = usage?.extra?.decode_tokens_per_s;
    this.#following(() => answer.finish(
      session.interrupted ? "interrupted" : "done", endNote(finish, session.interrupted), {
        finish: String(finish),
        tokens: String(usage?.completion_tokens ?? ""),
        tokensPerSecond: speed !== undefined && Number.isFinite(speed) ? speed.toFixed(2) : "",
      }));
  }

  /**
   * @param {Message} answer
   * @param {string} said
   */
  #offer(answer, said, attempt = 0) {
    answer.offer([
      ["Copy", "Copy this answer", () => navigator.clipboard.writeText(said)],
      ["Try again", "Try again: another answer to the same question", () => this.#again(answer, attempt + 1)],
    ]);
    answer.item.classList.add("needs-model");
  }

  /**
   * Only the last answer can be tried again: what follows another was said because of it.
   * @param {Message} answer
   * @param {number} attempt
   */
  async #again(answer, attempt) {
    if (session.ready && answer === this.#shown.at(-1)) {
      this.#turns.pop();
      this.#shown.pop()?.item.remove();
      await this.#answer(attempt);
    }
  }

  /** @param {number} at */
  #edit(at) {
    const { item } = this.#shown[at];
    const area = h("textarea", { rows: 3, "aria-label": "Your question, to be changed" });
    area.value = this.#turns[at].content;
    const form = h("form", { class: "edit", onsubmit: (event) => {
      event.preventDefault();
      if (session.ready && area.value.trim()) {
        this.#cut(at);
        this.#ask(area.value);
      }
    } }, area, h("div", { class: "row" },
      h("button", { type: "submit", class: "main" }, "Ask this instead"),
      button("Cancel", () => { form.remove(); item.classList.remove("editing"); })));
    item.classList.add("editing");
    item.append(form);
    area.focus();
  }

  /** @param {number} at */
  #cut(at) {
    for (const { item } of this.#shown.splice(at)) {
      item.remove();
    }
    this.#turns.length = at;
  }

  /**
   * @param {Turn["role"]} role
   * @param {string} [text]
   * @param {number | null} [at] Which turn it is; null: none yet.
   */
  #show(role, text = "", at = null) {
    const shown = message(role, text);
    // Failed answers are not turns, so they must not shift the numbers of what follows.
    this.#shown.length = at ?? this.#turns.length;
    this.#shown.push(shown);
    if (at !== null && role === "user") {
      shown.offer([["Edit", "Edit this question", () => this.#edit(at)]]);
      shown.item.classList.add("needs-model");
    } else if (at !== null) {
      this.#offer(shown, text);
    }
    this.log.append(shown.item);
    this.#toEnd();
    return shown;
  }

  /** @param {Conversation | null} [kept] */
  #open(kept = null) {
    this.log.replaceChildren();
    this.#shown = [];
    this.#id = kept?.id ?? crypto.randomUUID();
    this.#turns = [];
    for (const turn of kept?.turns ?? []) {
      const at = this.#turns.push(turn) - 1;
      this.#show(turn.role, turn.content, at);
    }
    this.update();
    if (!this.input.disabled) {
      this.input.focus();
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#submit();
    }
  }

  #fit() {
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
  }

  /**
   * Scrolls on with a growing answer unless the reader has scrolled away from the end.
   * @param {() => void} change
   */
  #following(change) {
    const page = scrolled();
    const near = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_END_PX;
    change();
    if (near) {
      this.#toEnd();
    }
  }

  #toEnd() {
    window.scrollTo({ top: scrolled().scrollHeight });
  }
}

function scrolled() {
  return document.scrollingElement ?? document.documentElement;
}
