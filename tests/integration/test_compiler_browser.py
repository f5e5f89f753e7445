"""Every shader of a library, given to Chromium's own WGSL compiler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.graphics import needs_float16
from tests.integration.architecture_models import SHAPES
from tests.integration.compiler_models import Q0F16, Q0F32, Q3F16, Q4F16, Q4F32, Q8F16, shape
from webslm.bundle.serve import running_server
from webslm.compiler.library import compile_library, webgpu_target
from webslm.compiler.passes.limits import check_shaders, shader_modules, shaders
from webslm.model.weights.format import required_features
from webslm.proof import browser
from webslm.proof.browser import Tab
from webslm.schema import QuantConf

COMPILE = """
async ([shaders, requiredFeatures]) => {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice({requiredFeatures, requiredLimits: {
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
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    folder = tmp_path_factory.mktemp("empty")
    (folder / "index.html").write_text("<!doctype html>")
    with running_server(folder) as url, browser.session(None, timeout_s=120) as session:
        tab = session.tab()
        tab.open(url)
        yield tab


def refused(tab: Tab, found: Mapping[str, str], *features: str) -> Any:
    """Return the compiler's messages by shader."""
    return tab.call(COMPILE, [dict(found), list(features)], "compiling shaders")


@pytest.mark.browser
@pytest.mark.parametrize(
    "quant",
    [
        pytest.param(Q0F32, id="q0f32", marks=pytest.mark.slow),
        pytest.param(Q4F32, id="q4f32_1"),
        pytest.param(Q4F16, id="q4f16_1", marks=needs_float16),
        pytest.param(Q0F16, id="q0f16", marks=[needs_float16, pytest.mark.slow]),
        pytest.param(Q8F16, id="q8f16_1", marks=[needs_float16, pytest.mark.slow]),
        pytest.param(Q3F16, id="q3f16_1", marks=[needs_float16, pytest.mark.slow]),
    ],
)
def test_browser_accepts_every_shader(tab: Tab, quant: QuantConf) -> None:
    compiled = compile_library(
        shape(vocab_size=5000, tie_word_embeddings=quant is Q0F32),
        quant,
        context_window_size=128,
        prefill_chunk_size=32,
        target=webgpu_target(),
    )
    late, early = shader_modules(compiled.executable)
    found = early | late
    check_shaders(found, dtype=quant.dtype)
    # Of what no page runs only the head of all positions is our own; the cache brings the others.
    (head,) = set(late) - {"kv_compact_kernel", "kv_copy_page_kernel", "kv_debug_kernel"}
    assert head.startswith("matmul")
    assert len(late) == 4
    assert {"attention_prefill_kernel", "nucleus_masses_kernel", "nucleus_draw_kernel"} <= set(
        found
    )
    assert refused(tab, found, *required_features(quant.dtype)) == {}


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_browser_accepts_every_architecture(tab: Tab, name: str) -> None:
    compiled = compile_library(
        SHAPES[name],
        Q4F32,
        context_window_size=128,
        prefill_chunk_size=32,
        target=webgpu_target(),
    )
    found = shaders(compiled.executable)
    check_shaders(found, dtype="float32")
    assert refused(tab, found) == {}


@pytest.mark.browser
def test_browser_refuses_what_the_check_calls_wrong(tab: Tab) -> None:
    """The page's verdict is one: a bad shader does come back with a message."""
    bad = "@compute @workgroup_size(1) fn bad() { var __x : u16 = 0; }"
    assert list(refused(tab, {"bad": bad})) == ["bad"]
