"""Sampling where it runs: the shaders choose what the CPU chooses, and a seed repeats an answer."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.chain import TIMEOUT_S, make_site
from tests.integration.compiler_models import Q0F32, shape
from tests.kernel_draws import draw, softened
from webslm.basics import paths
from webslm.bundle.serve import running_server
from webslm.compiler.kernels import nucleus
from webslm.compiler.library import compile_library, webgpu_target
from webslm.compiler.passes.limits import shaders
from webslm.compiler.profiles import PROFILES
from webslm.compiler.wgsl.syntax import parse
from webslm.proof import browser
from webslm.proof.browser import Tab
from webslm.schema import Profile

pytestmark = pytest.mark.browser
SIZE = 5000
# Runs the first shader in as many blocks as there are tiles, then the second in one.
RUN = """async ({ shaders, sizes, draws, limits }) => {
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice({ requiredLimits: limits });
    device.pushErrorScope("validation");
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    const make = (bytes, usage) => device.createBuffer({ size: Math.max(16, bytes), usage });
    const buffers = Object.fromEntries(Object.entries(sizes).map(([name, bytes]) =>
        [name, make(bytes, STORAGE | COPY_SRC | COPY_DST)]));
    const back = make(4, MAP_READ | COPY_DST);
    const steps = shaders.map(({ code, name, bindings, blocks }) => {
        const module = device.createShaderModule({ code });
        const pipeline = device.createComputePipeline({
            layout: "auto", compute: { module, entryPoint: name } });
        const grid = make(4, UNIFORM | COPY_DST);
        device.queue.writeBuffer(grid, 0, new Uint32Array([blocks]));
        const group = device.createBindGroup({
            layout: pipeline.getBindGroupLayout(0),
            entries: Object.entries(bindings).map(([buffer, binding]) =>
                ({ binding, resource: { buffer: buffers[buffer] ?? grid } })),
        });
        return { pipeline, group, blocks };
    });
    const tokens = [];
    for (const { row, uniform, top_p } of draws) {
        device.queue.writeBuffer(buffers.probabilities_ptr, 0, new Float32Array(row));
        device.queue.writeBuffer(buffers.uniform_ptr, 0, new Float32Array([uniform]));
        device.queue.writeBuffer(buffers.top_p_ptr, 0, new Float32Array([top_p]));
        const encoder = device.createCommandEncoder();
        for (const { pipeline, group, blocks } of steps) {
            const pass = encoder.beginComputePass();
            pass.setPipeline(pipeline);
            pass.setBindGroup(0, group);
            pass.dispatchWorkgroups(blocks);
            pass.end();
        }
        encoder.copyBufferToBuffer(buffers.token_ptr, 0, back, 0, 4);
        device.queue.submit([encoder.finish()]);
        await back.mapAsync(GPUMapMode.READ);
        tokens.push(new Int32Array(back.getMappedRange())[0]);
        back.unmap();
    }
    const error = await device.popErrorScope();
    if (error) throw new Error(error.message);
    return tokens;
}"""


@pytest.fixture(scope="module")
def kernels() -> dict[str, str]:
    """Return the shaders of a library with SIZE tokens."""
    compiled = compile_library(
        shape(vocab_size=SIZE),
        Q0F32,
        context_window_size=64,
        prefill_chunk_size=16,
        target=webgpu_target(),
    )
    return shaders(compiled.executable)


def described(name: str, code: str, blocks: int) -> dict[str, Any]:
    bound = {one.name: one.binding for one in parse(code).variables if one.binding is not None}
    return {"code": code, "name": name, "bindings": bound, "blocks": blocks}


def test_library_holds_no_sort(kernels: dict[str, str]) -> None:
    """From logits to a token: two shaders of softmax, two of the nucleus, and nothing else."""
    sampling = {name for name in kernels if "softmax" in name or "nucleus" in name}
    assert sampling == {
        "softmax_statistics_kernel",
        "softmax_normalise_kernel",
        "nucleus_masses_kernel",
        "nucleus_draw_kernel",
    }
    assert not [name for name in kernels if "sort" in name or "merge_runs" in name]


def test_shaders_choose_what_the_cpu_chooses(
    kernels: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder: Path = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<p>draws</p>", encoding="utf-8")
    rng = np.random.default_rng(3)
    draws: list[dict[str, Any]] = []
    for sharpness in (0.0, 0.5, 2.0, 8.0):
        row = softened(rng.normal(0, sharpness, SIZE), 1.0).astype(np.float32)
        for top_p in (1e-5, 0.3, 0.8, 1.0):
            for uniform in rng.random(6, dtype=np.float32):
                draws.append({"row": row, "uniform": float(uniform), "top_p": top_p})
    expected = [draw(one["row"], one["uniform"], one["top_p"]) for one in draws]
    steps = [
        described(name, kernels[name], blocks)
        for name, blocks in (
            ("nucleus_masses_kernel", nucleus.num_tiles(SIZE)),
            ("nucleus_draw_kernel", 1),
        )
    ]
    sizes = {
        "probabilities_ptr": 4 * SIZE,
        "found_ptr": 4 * nucleus.num_tiles(SIZE) * nucleus.COLUMNS,
        **dict.fromkeys(("uniform_ptr", "top_p_ptr", "token_ptr"), 4),
    }
    given = [{**one, "row": one["row"].tolist()} for one in draws]
    shared = PROFILES[Profile.mobile].max_compute_workgroup_storage_size
    limits = {"maxComputeWorkgroupStorageSize": shared}
    argument = {"shaders": steps, "sizes": sizes, "draws": given, "limits": limits}
    with (
        running_server(folder) as url,
        browser.session(None, timeout_s=120.0) as session,
    ):
        page = session.tab()
        page.open(url)
        tokens = page.call(RUN, argument, "drawing")
    assert len(set(expected)) > 30
    assert tokens == expected


@pytest.fixture(scope="module")
def engine(root: Path) -> Iterator[Tab]:
    site = make_site(root, root / "sampled", max_tokens=24)
    with running_server(site) as url, browser.session(None, timeout_s=TIMEOUT_S) as session:
        page = session.tab()
        page.open(url)
        page.wait_for("html[data-state=idle]", "the page did not start")
        yield page


@pytest.mark.slow
def test_a_seed_repeats_an_answer_and_another_does_not(engine: Tab) -> None:
    texts = engine.call(
        """async () => {
            const { Engine } = await import("./engine.js");
            const { readConfig } = await import("./config.js");
            const engine = new Engine({ model: (await readConfig()).model });
            await engine.load(() => {});
            const texts = [];
            const how = { temperature: 2, top_p: 0.95, repetition_penalty: 1, max_tokens: 24 };
            const asked = [{ role: "user", content: "Tell me." }];
            for (const seed of [5, 6, 5]) {
                const reply = await engine.complete(asked, { ...how, seed }, { ignore_eos: true });
                texts.push(reply.tokens);
            }
            engine.dispose();
            return texts;
        }""",
        None,
        "asking three times",
    )
    assert texts[0] == texts[2] != texts[1]
    assert len(set(texts[0])) > 3


def test_small_seeds_begin_with_numbers_far_apart(tmp_path: Path) -> None:
    """What web-llm's generator makes of a seed first: the seed times 48 271, modulo 2^31 - 1."""
    script = "import(process.argv[1]).then(({ spreadSeed }) => console.log(JSON.stringify("
    script += "Array.from({ length: 1000 }, (_, seed) => spreadSeed(seed)))))"
    module = tmp_path / "seed.mjs"
    shutil.copyfile(paths.site_dir() / "seed.js", module)
    printed = subprocess.run(("node", "-e", script, str(module)), capture_output=True, check=True)
    seeds = json.loads(printed.stdout)
    assert len(set(seeds)) == 1000
    firsts = np.array([seed * 48271 % (2**31 - 1) / (2**31 - 1) for seed in seeds])
    counts, _ = np.histogram(firsts, bins=10, range=(0, 1))
    assert counts.min() > 60
    assert counts.max() < 140
