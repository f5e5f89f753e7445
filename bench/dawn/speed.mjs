// Owns the timing of a model that nothing watches: no logit processor, so no logits leave the GPU
// except as the page's own sampling wants them.

import { profile } from "./profile.mjs";

const PROFILED_STEPS = 5;

// Returns the timed prefills and decodes, dispatches so far at each token, and GPU time by kernel.
export async function measureSpeed(page, watch, job) {
  const { messages, prefillTokens, decodeTokens, repeats } = job;
  const { MLCEngine } = await page.load("vendor/web-llm.js");
  const { appConfig, readConfig } = await page.load("config.js");
  const { model, decoding } = await readConfig();
  const engine = new MLCEngine({ appConfig: appConfig(model) });
  const began = performance.now();
  await engine.reload(model.id);
  const found = { reloadSeconds: (performance.now() - began) / 1000, prefill: [], decode: [], marks: [] };
  // The first round pays for what is set up once; it is run and not kept.
  for (let round = 0; round <= repeats; round += 1) {
    const prefill = [];
    for (const tokens of prefillTokens) {
      prefill.push({ tokens, seconds: await timePrefill(engine, tokens) });
    }
    const decode = await timeDecode(engine, { messages, decoding, decodeTokens });
    if (round > 0) {
      found.prefill.push(...prefill);
      found.decode.push(decode);
      found.marks.push(decode.marks);
    }
    delete decode.marks;
  }
  if (watch.queries !== null) {
    found.profile = await profileSteps(engine, watch, prefillTokens);
  }
  return found;
}

async function profileSteps(engine, watch, prefillTokens) {
  const found = { prefill: {}, decode: [] };
  for (const tokens of prefillTokens) {
    found.prefill[tokens] = await profile(watch, () => timePrefill(engine, tokens));
  }
  for (let step = 0; step < PROFILED_STEPS; step += 1) {
    found.decode.push(await profile(watch, () => engine.forwardTokensAndSample([10 + step], false)));
  }
  return found;
}

async function timePrefill(engine, tokens) {
  // Which tokens they are changes nothing of the work; small ids exist in every vocabulary.
  const ids = Array.from({ length: tokens }, (_, index) => 10 + ((index * 37) % 200));
  await engine.resetChat();
  const began = performance.now();
  await engine.forwardTokensAndSample(ids, true);
  return (performance.now() - began) / 1000;
}

async function timeDecode(engine, { messages, decoding, decodeTokens }) {
  await engine.resetChat();
  const chunks = await engine.chat.completions.create({
    messages,
    temperature: decoding.temperature,
    top_p: decoding.top_p,
    seed: 0,
    max_tokens: decodeTokens,
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
    decodeTokensPerSecond: usage.extra.decode_tokens_per_s,
    prefillTokensPerSecond: usage.extra.prefill_tokens_per_s,
    marks: [...marks],
  };
}
