// Owns the timing of a model that nothing watches: no logit processor, so no logits leave the GPU
// except as the page's own sampling wants them.

import { profile } from "./profile.mjs";

const PROFILED_STEPS = 5;

// Returns the timed prompts, the tokens after them, an answer through chat completions (one more for
// each temperature of the job), dispatches so far at each of its pieces, and GPU time by kernel.
export async function measureSpeed(page, watch, job) {
  const { prompts, tokensAfter, messages, answerTokens, repeats, temperatures = [] } = job;
  const { app } = await (await fetch("manifest.json")).json();
  const { MLCEngine } = await page.load(`${app}vendor/web-llm.js`);
  const { appConfig, readConfig } = await page.load(`${app}config.js`);
  const { model, decoding } = await readConfig();
  const engine = new MLCEngine({ appConfig: appConfig(model) });
  const began = performance.now();
  await engine.reload(model.id);
  const found = { reloadSeconds: (performance.now() - began) / 1000, prompts: [], answers: [], marks: [], sampled: [] };
  const waits = watchWaits(page.globals);
  // The first round pays for what is set up once; it is run and not kept.
  for (let round = 0; round <= repeats; round += 1) {
    const timed = [];
    for (const tokens of prompts) {
      timed.push(await timePrompt(engine, waits, tokens, tokensAfter));
    }
    const answer = await timeAnswer(engine, { messages, decoding, answerTokens });
    if (round > 0) {
      found.prompts.push(...timed);
      found.answers.push(answer);
      found.marks.push(answer.marks);
    }
    delete answer.marks;
    for (const temperature of temperatures) {
      const sampled = await timeAnswer(engine, { messages, decoding: { ...decoding, temperature }, answerTokens });
      if (round > 0) {
        found.sampled.push({ temperature, ...sampled });
      }
    }
  }
  if (watch.queries !== null) {
    found.profile = await profileSteps(engine, watch, prompts);
  }
  return found;
}

async function profileSteps(engine, watch, prompts) {
  const found = {};
  for (const tokens of prompts) {
    const prefill = await profile(watch, () => prefillTokens(engine, tokens));
    const decode = [];
    for (let step = 0; step < PROFILED_STEPS; step += 1) {
      decode.push(await profile(watch, () => engine.forwardTokensAndSample([10 + step], false)));
    }
    found[tokens] = { prefill, decode };
  }
  return found;
}

async function prefillTokens(engine, tokens) {
  // Which tokens they are changes nothing of the work; small ids exist in every vocabulary.
  const ids = Array.from({ length: tokens }, (_, index) => 10 + ((index * 37) % 200));
  await engine.resetChat();
  return engine.forwardTokensAndSample(ids, true);
}

async function timePrompt(engine, waits, tokens, tokensAfter) {
  let began = performance.now();
  let token = await prefillTokens(engine, tokens);
  const firstTokenSeconds = (performance.now() - began) / 1000;
  waits.seconds = 0;
  began = performance.now();
  for (let step = 0; step < tokensAfter; step += 1) {
    token = await engine.forwardTokensAndSample([token], false);
  }
  const decodeSeconds = (performance.now() - began) / 1000;
  return { tokens, firstTokenSeconds, tokensAfter, decodeSeconds, waitSeconds: waits.seconds };
}

async function timeAnswer(engine, { messages, decoding, answerTokens }) {
  await engine.resetChat();
  const chunks = await engine.chat.completions.create({
    messages,
    temperature: decoding.temperature,
    top_p: decoding.top_p,
    seed: 0,
    max_tokens: answerTokens,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  });
  const { marks } = globalThis.webslmCounts;
  marks.length = 0;
  let usage = null;
  for await (const chunk of chunks) {
    // count.js marks what a page's worker posts.
    self.postMessage({ content: chunk });
    usage = chunk.usage ?? usage;
  }
  return {
    tokens: usage.completion_tokens,
    promptTokens: usage.prompt_tokens,
    tokensPerSecond: usage.extra.decode_tokens_per_s,
    marks: [...marks],
  };
}

// Adds up how long the page waits for the GPU; the rest of a token's time is JavaScript and Dawn.
function watchWaits({ GPUBuffer, GPUQueue }) {
  const waits = { seconds: 0 };
  const pending = { count: 0, since: 0 };
  for (const [target, name] of [[GPUBuffer, "mapAsync"], [GPUQueue, "onSubmittedWorkDone"]]) {
    const original = target.prototype[name];
    target.prototype[name] = async function waited(...words) {
      if (pending.count === 0) {
        pending.since = performance.now();
      }
      pending.count += 1;
      try {
        return await original.apply(this, words);
      } finally {
        pending.count -= 1;
        if (pending.count === 0) {
          waits.seconds += (performance.now() - pending.since) / 1000;
        }
      }
    };
  }
  return waits;
}
