// Owns measuring a bundle's model through web-llm's public API; never part of a bundle.
// A logit processor sees the raw logits of every step and may force the token that is taken.

// The page's own modules lie in a folder named by their digest; the manifest says which.
const { app } = await (await fetch(new URL("manifest.json", document.baseURI))).json();
const own = (name) => import(new URL(`${app}${name}`, document.baseURI).href);
const { appConfig, readConfig } = await own("config.js");
const { promptsOf } = await own("template.js");
const { MLCEngine } = await own("vendor/web-llm.js");

const FORBIDDEN = -1e4;

class Recorder {
  steps = [];
  sampled = [];
  forced = null;
  keep = 0;

  restart({ forced = null, keep = 1 } = {}) {
    Object.assign(this, { steps: [], sampled: [], forced, keep });
  }

  processLogits(logits) {
    this.steps.push(best(logits, this.keep));
    if (this.forced !== null) {
      // Far below every other logit and still finite: softmax gives exactly 0 and 1.
      logits.fill(FORBIDDEN);
      logits[this.forced[this.steps.length - 1]] = 0;
    }
    return logits;
  }

  processSampledToken(token) {
    this.sampled.push(token);
  }

  resetState() {}
}

// The `count` largest logits as [id, value], largest first; the lower id wins a tie.
function best(logits, count) {
  const top = [];
  for (let id = 0; id < logits.length; id += 1) {
    const value = logits[id];
    if (!Number.isFinite(value)) {
      throw new Error(`logit ${id} is ${value}`);
    }
    if (top.length < count || value > top[top.length - 1][1]) {
      let at = top.length;
      while (at > 0 && value > top[at - 1][1]) {
        at -= 1;
      }
      top.splice(at, 0, [id, value]);
      top.length = Math.min(top.length, count);
    }
  }
  return top;
}

const recorder = new Recorder();
let engine = null;
let model = null;
let prompts = null;

globalThis.webslm = {
  async load() {
    ({ model } = await readConfig());
    prompts = await promptsOf(model);
    engine = new MLCEngine({
      appConfig: appConfig(model),
      logitProcessorRegistry: new Map([[model.id, recorder]]),
    });
    const began = performance.now();
    await engine.reload(model.id);
    const { info } = await navigator.gpu.requestAdapter();
    return {
      seconds: (performance.now() - began) / 1000,
      library: { arithmetic: model.arithmetic, choice: model.choice ?? null, path: model.lib },
      adapter: [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" "),
    };
  },

  // Greedy answer through chat completions: the path that the page takes.
  async ask({ messages, maxTokens, keep }) {
    await engine.resetChat();
    recorder.restart({ keep });
    const reply = await engine.chat.completions.create({
      messages: prompts?.next(messages) ?? messages, max_tokens: maxTokens, temperature: 0, repetition_penalty: 1,
    });
    const [choice] = reply.choices;
    return {
      text: choice.message.content,
      finish: choice.finish_reason,
      tokens: recorder.sampled,
      steps: recorder.steps,
      promptTokens: reply.usage.prompt_tokens,
    };
  },

  // Feeds a prompt and then a given continuation; returns the best raw logits at each position.
  async follow({ prompt, continuation, keep }) {
    await engine.resetChat();
    recorder.restart({ forced: continuation, keep });
    let input = prompt;
    for (const [position, token] of continuation.entries()) {
      const taken = await engine.forwardTokensAndSample(input, position === 0);
      if (taken !== token) {
        throw new Error(`position ${position}: ${token} was forced, ${taken} was sampled`);
      }
      input = [token];
    }
    return recorder.steps;
  },
};
document.documentElement.dataset.harness = "ready";
