// Owns one run: `node drive.mjs SITE JOB RESULT` loads SITE's model as verify's harness does,
// carries out JOB (what to ask, to force, to time) and writes everything seen to RESULT.

import { readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import process from "node:process";

import { openPage } from "./page.mjs";
import { watchKernels } from "./profile.mjs";
import { measureSpeed } from "./speed.mjs";

const [site, jobPath, resultPath] = process.argv.slice(2);
const job = JSON.parse(await readFile(jobPath, "utf8"));
const page = openPage({ site, dawnModule: process.env.DAWN_MODULE });

const adapter = await navigator.gpu.requestAdapter();
if (adapter === null) {
  process.stderr.write("drive: Dawn found no Vulkan adapter here (is there a driver and libvulkan.so.1?)\n");
  process.exit(3);
}
const watch = watchKernels(page.globals);
await page.run("__verify__/count.js");
await page.load("__verify__/harness.js");

const result = {
  node: process.version,
  machine: `${os.cpus()[0].model} x ${os.cpus().length}, ${os.type()} ${os.release()}`,
  adapter: {
    vendor: adapter.info.vendor,
    architecture: adapter.info.architecture,
    device: adapter.info.device,
    description: adapter.info.description,
    features: [...adapter.features].sort(),
  },
  loaded: await webslm.load(),
  asked: [],
  followed: [],
};
for (const messages of job.questions) {
  result.asked.push(await webslm.ask({ messages, maxTokens: job.maxTokens, keep: job.keep }));
}
for (const { prompt, continuation } of job.runs) {
  result.followed.push(await webslm.follow({ prompt, continuation, keep: job.keep }));
}
if (job.speed) {
  result.speed = await measureSpeed(page, watch, job.speed);
}
Object.assign(result, page.seen);
await writeFile(resultPath, JSON.stringify(result));
// Dawn's event loop would keep the process alive for ever.
process.exit(0);
