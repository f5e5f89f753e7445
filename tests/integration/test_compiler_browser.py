"""Every shader of a library, given to Chromium's own WGSL compiler."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from tests.integration.architecture_models import SHAPES
from tests.integration.compiler_models import Q0F32, Q4F32, shape
from webslm.compiler.library import compile_library, webgpu_target
from webslm.compiler.passes.limits import check_shaders, shader_modules, shaders
from webslm.schema import QuantConf

FLAGS = (
    *("--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
COMPILE = """
async (shaders) => {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice({requiredLimits: {
    maxStorageBuffersPerShaderStage: 10, maxComputeWorkgroupStorageSize: 32768}});
  const found = {};
  for (const [name, code] of Object.entries(shaders)) {
    device.pushErrorScope("validation");
    const module = device.createShaderModule({code});
    const info = await module.getCompilationInfo();
    const messages = info.messages.filter((one) => one.type === "error").map((one) => one.message);
    if (!messages.length) {
      const wanted = {layout: "auto", compute: {module, entryPoint: name}};
      await device.createComputePipelineAsync(wanted).catch((e) => messages.push(e.message));
    }
    await device.popErrorScope();
    if (messages.length) found[name] = messages;
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def page() -> Any:
    from playwright.sync_api import sync_playwright

    browser_path = os.environ.get("WEBSLM_BROWSER") or shutil.which("chromium")
    assert browser_path, "no Chromium: install it or set WEBSLM_BROWSER"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        page = browser.new_page()
        # WebGPU exists in secure contexts only; file: and about:blank are none.
        page.route("**/*", lambda route: route.fulfill(body="<!doctype html>"))
        page.goto("http://localhost:9/")
        yield page
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    "quant",
    [
        pytest.param(Q0F32, id="q0f32", marks=pytest.mark.slow),
        pytest.param(Q4F32, id="q4f32_1"),
    ],
)
def test_browser_accepts_every_shader(page: Any, quant: QuantConf) -> None:
    compiled = compile_library(
        shape(vocab_size=5000, tie_word_embeddings=quant is Q0F32),
        quant,
        context_window_size=128,
        prefill_chunk_size=32,
        target=webgpu_target(),
    )
    early, late = shader_modules(compiled.executable)
    found = early | late
    check_shaders(found, dtype=quant.dtype)
    # Of what no page runs only the head of all positions is our own; the cache brings the others.
    (head,) = set(late) - {"kv_compact_kernel", "kv_copy_page_kernel", "kv_debug_kernel"}
    assert head.startswith("matmul")
    assert len(late) == 4
    assert {"attention_prefill_kernel", "nucleus_masses_kernel", "nucleus_draw_kernel"} <= set(
        found
    )
    assert page.evaluate(COMPILE, found) == {}


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_browser_accepts_every_architecture(page: Any, name: str) -> None:
    compiled = compile_library(
        SHAPES[name],
        Q4F32,
        context_window_size=128,
        prefill_chunk_size=32,
        target=webgpu_target(),
    )
    found = shaders(compiled.executable)
    check_shaders(found, dtype="float32")
    assert page.evaluate(COMPILE, found) == {}


@pytest.mark.browser
def test_browser_refuses_what_the_check_calls_wrong(page: Any) -> None:
    """The page's verdict is one: a bad shader does come back with a message."""
    bad = "@compute @workgroup_size(1) fn bad() { var __x : u16 = 0; }"
    assert list(page.evaluate(COMPILE, {"bad": bad})) == ["bad"]
