// Owns prompts that this page renders itself, with the model's own chat template in Jinja. The model's
// conversation block then adds nothing: web-llm gets a rendered prompt as a user message.

import { Problem } from "./problem.js";

/** @import { Model } from "./config.js" */
/** @import { ChatCompletionMessageParam } from "./vendor/web-llm.js" */
/** @import { Template } from "./vendor/jinja.js" */

/**
 * What a site says of a template.
 * @typedef {object} PromptFacts
 * @property {string} source Jinja.
 * @property {Record<string, unknown>} words Variables that every prompt has: the special tokens.
 * @property {string[]} ends Special tokens that end an answer.
 */

/**
 * Returns how to ask a model whose prompts this page renders; null for one whose prompts web-llm renders.
 * @param {Model} model
 */
export async function promptsOf({ prompts }) {
  if (!prompts) {
    return null;
  }
  const { Template } = await import("./vendor/jinja.js");
  return new Prompts(new Template(prompts.source), prompts);
}

export class Prompts {
  #template;
  #facts;
  /** @type {ChatCompletionMessageParam[]} What web-llm's cache holds, as it was sent and said. */
  #kept = [];
  /** @type {ChatCompletionMessageParam[]} */
  #asked = [];

  /**
   * Use `promptsOf`.
   * @param {Template} template
   * @param {PromptFacts} facts
   */
  constructor(template, facts) {
    this.#template = template;
    this.#facts = facts;
  }

  /**
   * Renders a prompt as transformers' apply_chat_template does.
   * @param {ChatCompletionMessageParam[]} messages
   * @returns {string}
   * @throws {Problem} The template refuses them.
   */
  render(messages) {
    try {
      return this.#template.render({
        messages, tools: null, documents: null, add_generation_prompt: true, ...this.#facts.words,
      });
    } catch (error) {
      throw new Problem({
        kind: "message",
        title: "The model cannot take this conversation",
        text: "Its chat template refused to make a prompt of it.",
        advice: "Start a new chat.",
        details: String(error),
      });
    }
  }

  /**
   * Returns the messages to send for a conversation. Where the prompt begins with all that web-llm's cache
   * holds, and a token follows that no text can merge with, only the rest is new; else all of it is sent.
   * @param {ChatCompletionMessageParam[]} messages
   * @returns {ChatCompletionMessageParam[]}
   */
  next(messages) {
    const text = this.render(messages);
    const before = this.#kept.map(({ content }) => content).join("");
    const rest = text.slice(before.length);
    const goesOn = this.#kept.length > 0 && text.startsWith(before)
      && this.#facts.ends.some((end) => rest.startsWith(end));
    this.#asked = goesOn ? [...this.#kept, { role: "user", content: rest }] : [{ role: "user", content: text }];
    this.#kept = [];
    return this.#asked;
  }

  /**
   * Remembers an answer. One that was cut off may have left tokens in the cache that its text has not.
   * @param {string} text
   * @param {string | null} finish
   */
  said(text, finish) {
    this.#kept = finish === "stop" && text ? [...this.#asked, { role: "assistant", content: text }] : [];
  }
}
