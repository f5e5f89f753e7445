import assert from "node:assert/strict";
import { test } from "node:test";

import { explain, Problem } from "../../webslm/site/problem.js";
import { Meter, progressText } from "../../webslm/site/progress.js";
import { readableBytes, readableTime } from "../../webslm/site/readable.js";
import { warnings } from "../../webslm/site/sampling.js";

/** @param {string} name @param {string} message */
function named(name, message) {
  return Object.assign(new Error(message), { name });
}

test("a failure is known by its class's name, thrown here or told by a worker", () => {
  const titles = {
    QuotaExceededError: "Not enough room for the model",
    ContextWindowSizeExceededError: "This conversation is too long",
    ShaderF16SupportError: "This graphics chip lacks a feature",
    FeatureSupportError: "This graphics chip lacks a feature",
    DeviceLostError: "The graphics chip was taken away",
    WebGPUNotAvailableError: "This browser cannot use the graphics chip",
    IntegrityError: "A file is not the published one",
    RuntimeError: "The model stopped with an internal error",
    NetworkError: "A file could not be downloaded",
  };
  for (const [name, title] of Object.entries(titles)) {
    assert.equal(explain(named(name, "x")).title, title);
    assert.equal(explain(`${name}: x`).title, title);
    assert.equal(explain(new Error(`${name}: x`)).title, title);
  }
});

test("what has no class of its own is known by what it says", () => {
  const titles = {
    "the graphics device was lost (destroyed: x)": "The graphics chip was taken away",
    "Failed to fetch": "A file could not be downloaded",
    "Cannot find global function x": "The model stopped with an internal error",
    "prompt tokens exceed context window size": "This conversation is too long",
  };
  for (const [message, title] of Object.entries(titles)) {
    assert.equal(explain(new TypeError(message)).title, title);
  }
});

test("a class's name in the middle of a sentence names nothing", () => {
  assert.equal(explain("no IntegrityChecker here, NetworkErrors neither").title, "A file is not the published one");
  assert.equal(explain("see DeviceLostError in the manual").title, "Something went wrong");
});

test("an unknown failure at the start says that the model could not be started", () => {
  assert.equal(explain("no idea", [], { starting: true }).title, "The model could not be started");
  assert.equal(explain("no idea").title, "Something went wrong");
});

test("the compiled model's own words are shown, cut, and the raw text is kept", () => {
  const printed = ["loading", `InternalError: ${"x".repeat(400)}`, " "];
  const problem = explain(named("RuntimeError", "unreachable"), printed);
  assert.ok(problem.text.includes("It said: InternalError: xxx"));
  assert.ok(problem.text.endsWith("…"));
  assert.equal(problem.details, [...printed.slice(0, 2), "RuntimeError: unreachable"].join("\n"));
  assert.equal(explain(named("IntegrityError", "x"), printed).text.includes("It said"), false);
});

test("a problem that has words keeps them", () => {
  const problem = new Problem({ title: "t", text: "x", kind: "message" });
  assert.equal(explain(problem), problem);
});

test("sizes and times are readable", () => {
  assert.deepEqual([0, 999, 1000, 12_345, 4.56e9, 1e13].map(readableBytes),
    ["0 B", "999 B", "1.0 kB", "12 kB", "4.6 GB", "10000 GB"]);
  assert.deepEqual([0.2, 59, 600, 9000].map(readableTime), ["1 s", "59 s", "10 min", "2.5 h"]);
});

test("speed is told once it has settled, over the last seconds", () => {
  const meter = new Meter(5e6, 0);
  assert.deepEqual(meter.measure(6e6, 50e6, 100), { speed: null, seconds: null });
  assert.deepEqual(meter.measure(15e6, 50e6, 2000), { speed: 5e6, seconds: 7 });
  assert.equal(progressText({ share: 0.155, label: "Downloading", done: 15e6, total: 50e6, speed: 5e6, seconds: 7 }),
    "Downloading, 15 MB of 50 MB – 5.0 MB/s, 7 s left – 15 %");
});

test("settings that are known to loop or to drift are warned of", () => {
  const fine = { temperature: 0.7, top_p: 0.9, repetition_penalty: 1.05, max_tokens: 100, seed: null };
  assert.deepEqual(warnings(fine), []);
  assert.equal(warnings({ ...fine, temperature: 0.1 }).length, 1);
  assert.equal(warnings({ ...fine, repetition_penalty: 1.3 }).length, 1);
  assert.equal(warnings({ ...fine, temperature: 1.2, top_p: 1 }).length, 2);
});
