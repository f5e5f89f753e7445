import assert from "node:assert/strict";
import { test } from "node:test";

import { isMetered } from "../../webslm/site/device.js";
import { deviceReport, judge } from "../../webslm/site/judge.js";

const LIMITS = {
  maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31, maxStorageBuffersPerShaderStage: 10,
  maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 32768,
};
const DEVICE = /** @type {import("../../webslm/site/device.js").Device} */ ({
  secure: true, lacking: [], webgpu: true,
  graphics: { found: true, features: ["shader-f16"], limits: LIMITS, name: "chip", software: false },
  memory_gb: 8, phone: false, storage: { quota: 1e10, usage: 0, kept_for_good: false },
  connection: { online: true, type: null, save_data: false }, isolated: true, offline_ready: false, agent: "test",
});
const MODEL = /** @type {any} */ ({
  id: "m", lib: "lib/m.wasm", bytes: 1e8, required_features: ["shader-f16"],
  memory: { total_bytes: 1e9, largest_buffer_bytes: 2 ** 28 },
});

test("a device that has everything is fine", () => {
  const verdict = judge(DEVICE, MODEL, { missing: 1e8 });
  assert.equal(verdict.level, "good");
  assert.equal(verdict.title, "This device can run the model");
  assert.ok(deviceReport(DEVICE, MODEL, verdict).startsWith("verdict: good"));
});

test("each lack stops the page in words of its own", () => {
  const { graphics } = DEVICE;
  /** @type {[object, RegExp][]} */
  const cases = [
    [{ secure: false }, /not secure/],
    [{ lacking: ["caches"] }, /too old/],
    [{ graphics: { ...graphics, found: false } }, /cannot use the graphics chip/],
    [{ graphics: { ...graphics, features: [] } }, /lacks a feature/],
    [{ graphics: { ...graphics, limits: { ...LIMITS, maxStorageBuffersPerShaderStage: 8 } } }, /too small/],
    [{ storage: { quota: 1e7, usage: 0, kept_for_good: false } }, /Not enough room/],
  ];
  for (const [change, title] of cases) {
    const verdict = judge({ ...DEVICE, ...change }, MODEL, { missing: 1e8 });
    assert.equal(verdict.level, "stop");
    assert.match(verdict.title, title);
  }
});

test("web-llm gets no more of a limit than it asks for", () => {
  const needs = { ...MODEL, memory: { total_bytes: 1e9, largest_buffer_bytes: 2 ** 30 + 1 } };
  assert.equal(judge(DEVICE, needs, { missing: 0 }).level, "stop");
});

test("little memory, a phone, the processor and an evicted model are warned of", () => {
  for (const change of [{ memory_gb: 1 }, { graphics: { ...DEVICE.graphics, software: true } }]) {
    assert.equal(judge({ ...DEVICE, ...change }, MODEL, { missing: 0 }).level, "warn");
  }
  const big = { ...MODEL, memory: { total_bytes: 1.3e9 } };
  assert.equal(judge({ ...DEVICE, phone: true }, big, { missing: 0 }).level, "warn");
  assert.equal(judge(DEVICE, MODEL, { missing: 1e8, evicted: true }).level, "warn");
});

test("a connection costs money when the browser says so", () => {
  assert.equal(isMetered({ online: true, type: null, save_data: false }), false);
  assert.equal(isMetered({ online: true, type: "cellular", save_data: false }), true);
  assert.equal(isMetered({ online: true, type: null, save_data: true }), true);
});
