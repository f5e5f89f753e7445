import assert from "node:assert/strict";
import { test } from "node:test";

import { appConfig, pickLibrary } from "../../webslm/site/config.js";

const HALF = { lib: "f16.wasm", arithmetic: "f16", required_features: ["shader-f16"] };
const WHOLE = { lib: "f32.wasm", arithmetic: "f32", required_features: [] };
const RECORD = { id: "m", libs: [HALF, WHOLE] };

test("the first library that the chip can run is taken, and it is said why", () => {
  const best = pickLibrary(RECORD, ["shader-f16"]);
  assert.equal(best.lib, "f16.wasm");
  assert.equal(best.choice, "the graphics chip offers shader-f16");
  const other = pickLibrary(RECORD, []);
  assert.equal(other.lib, "f32.wasm");
  assert.equal(other.choice, "the graphics chip does not offer shader-f16");
  assert.ok(!("libs" in best));
});

test("the library that the address asks for is taken whatever the chip offers", () => {
  assert.equal(pickLibrary(RECORD, [], "f16").lib, "f16.wasm");
  assert.equal(pickLibrary(RECORD, ["shader-f16"], "f99").lib, "f16.wasm");
});

test("where none can run, the last is left for the device check to refuse", () => {
  assert.equal(pickLibrary({ id: "m", libs: [HALF, { ...HALF, lib: "x.wasm" }] }, []).lib, "x.wasm");
});

test("a model with one library is that library's", () => {
  assert.deepEqual(pickLibrary({ id: "m", lib: "only.wasm" }, []), { id: "m", lib: "only.wasm" });
});

test("web-llm is told to refuse files that are not the published ones", () => {
  const model = /** @type {any} */ ({ id: "m", url: "u", lib: "l", required_features: [], integrity: { config: "c" } });
  assert.deepEqual(appConfig(model).model_list[0].integrity, { config: "c", onFailure: "error" });
});
