// Owns how one message of a conversation looks: its text, its notes and what can be done with it.

import { button, h } from "./dom.js";
import { markdown, readable } from "./markdown.js";

const REST = 8;

/**
 * A text that grows.
 * @typedef {ReturnType<typeof growingText>} GrowingText
 * A message of the conversation on the page.
 * @typedef {ReturnType<typeof message>} Message
 */

/**
 * Shows a text as it grows, at most once a frame, and for a ninth of the time at most: a long text
 * must slow neither the page nor the model down.
 * @param {HTMLElement} body
 */
export function growingText(body) {
  let text = "";
  let waiting = false;
  let free = 0;
  const show = () => {
    const began = performance.now();
    waiting = false;
    body.replaceChildren(...markdown(text));
    free = performance.now() + REST * (performance.now() - began);
  };
  const frame = () => {
    if (waiting && performance.now() < free) {
      requestAnimationFrame(frame);
    } else if (waiting) {
      show();
    }
  };
  return {
    /** @param {string} piece */
    append(piece) {
      text += piece;
      if (!waiting) {
        waiting = true;
        requestAnimationFrame(frame);
      }
    },
    // A hidden page has no frames: the end is shown whatever happens.
    end: show,
    get text() {
      return text;
    },
  };
}

/** @param {"user" | "assistant"} role */
export function message(role, text = "") {
  const mine = role === "user";
  const body = h("div", { class: "text" });
  const item = h("li", { class: `message ${role}`, "data-state": mine ? "done" : "waiting" },
    h("span", { class: "unseen" }, mine ? "You:" : "Assistant:"), body);
  // A screen reader should hear the whole answer once, not every piece of it.
  item.setAttribute("aria-busy", String(!mine));
  const growing = growingText(body);
  if (mine) {
    body.textContent = readable(text);
  } else if (text) {
    growing.append(text);
    finish("done");
  }

  /**
   * @param {string} state
   * @param {string} [note]
   * @param {Record<string, string>} [data]
   */
  function finish(state, note = "", data = {}) {
    growing.end();
    Object.assign(item.dataset, { state, ...data });
    item.setAttribute("aria-busy", "false");
    if (note) {
      item.append(h("span", { class: "note" }, note));
    }
  }

  return {
    item,
    /** @param {string} piece */
    append(piece) {
      item.dataset.state = "streaming";
      growing.append(piece);
    },
    finish,
    /** @param {[label: string, heard: string, act: () => unknown][]} actions `heard`: by a screen reader. */
    offer(actions) {
      item.querySelector(".actions")?.remove();
      item.append(h("div", { class: "actions" }, actions.map(([label, spoken, act]) => button(
        label, act, { class: "link", "aria-label": spoken }))));
    },
  };
}

/**
 * What the end of an answer is worth saying about.
 * @param {string | null} finish
 * @param {boolean} interrupted
 */
export function endNote(finish, interrupted) {
  if (interrupted || finish === "abort") {
    return "Stopped by you.";
  }
  return finish === "length" ? "The answer reached its longest allowed length." : "";
}
