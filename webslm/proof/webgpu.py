"""Own the question to a browser: which WebGPU adapter, features and limits it offers."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from webslm.basics.errors import VerificationFailed, WebslmError
from webslm.proof.browser import Session, Tab, session
from webslm.proof.graphics.choice import choose, true_name
from webslm.schema import Graphics

log = logging.getLogger(__name__)
TIMEOUT_S = 60.0
WHAT = "asking the browser for a WebGPU adapter"
_ADAPTER = """async () => {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) {
        return null;
    }
    const { vendor, architecture, device, description, driver } = adapter.info;
    return {
        info: { vendor, architecture, device, description, driver: driver ?? "" },
        features: [...adapter.features],
        bytes: adapter.limits.maxBufferSize,
    };
}"""
# A driver may list well and die of the first shader: its own compiler runs only then.
_COMPUTE = """async () => {
    const adapter = await navigator.gpu.requestAdapter();
    const half = adapter.features.has("shader-f16");
    const device = await adapter.requestDevice({ requiredFeatures: half ? ["shader-f16"] : [] });
    const [bytes, kind] = [256, half ? "f16" : "f32"];
    const code = `${half ? "enable f16;" : ""}
        @group(0) @binding(0) var<storage, read_write> out : array<f32>;
        var<workgroup> shared_values : array<${kind}, 64>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i : u32) {
            shared_values[i] = ${kind}(i) * 0.5;
            workgroupBarrier();
            out[i] = f32(shared_values[63 - i]);
        }`;
    const compute = { module: device.createShaderModule({ code }), entryPoint: "main" };
    const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute });
    const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    const buffer = device.createBuffer({ size: bytes, usage: STORAGE | COPY_SRC });
    const seen = device.createBuffer({ size: bytes, usage: MAP_READ | COPY_DST });
    const entries = [{ binding: 0, resource: { buffer } }];
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    pass.setPipeline(pipeline);
    const layout = pipeline.getBindGroupLayout(0);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(1);
    pass.end();
    commands.copyBufferToBuffer(buffer, 0, seen, 0, bytes);
    device.queue.submit([commands.finish()]);
    await seen.mapAsync(GPUMapMode.READ);
    return [...new Float32Array(seen.getMappedRange())];
}"""
_COMPUTED = [(63 - index) / 2 for index in range(64)]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a browser has."""

    browser: str
    """Its version."""
    graphics: Graphics
    """What was taken: never ``auto``."""
    adapter: str | None
    """What computes; None: there is nothing."""
    features: tuple[str, ...] = ()
    max_buffer_bytes: int = 0


def _ask(url: str, started: AbstractContextManager[Session]) -> Offer:
    with started as browser:
        tab = browser.tab()
        tab.open(url)
        return _offer(browser, tab)


def offer(
    url: str,
    named: str | None,
    graphics: Graphics,
    *,
    minimum: int,
    timeout_s: float = TIMEOUT_S,
) -> Offer:
    """Start a browser on a page of a secure origin and ask it.

    With ``auto``, a lavapipe that does not work here is told in one line and SwiftShader asked.

    Args:
        url: The page.
        named: Path or name of the browser; None looks for one.
        graphics: What it shall compute with.
        minimum: Lowest major version that will do.
        timeout_s: Longest single wait in seconds.

    Raises:
        EnvironmentMismatch: There is no usable browser, or it is older than ``minimum``; or the
            graphics that were asked for cannot be had.
        VerificationFailed: It did not answer in time, or its adapter does not compute.
    """
    start = partial(session, named, timeout_s=timeout_s, minimum=minimum)
    if graphics is not Graphics.auto:
        return _ask(url, start(graphics=graphics))
    chosen = choose(graphics)
    refused = chosen.refused
    if chosen.graphics is Graphics.lavapipe:
        try:
            return _ask(url, start(graphics=Graphics.lavapipe))
        except WebslmError as exc:
            refused = exc.message
    # A browser that is no use at all says so here, before lavapipe gets the blame.
    seen = _ask(url, start(graphics=Graphics.swiftshader))
    if refused:
        log.warning(f"lavapipe does not work here, SwiftShader computes: {refused}")
    return seen


def _offer(browser: Session, tab: Tab) -> Offer:
    assert browser.chosen is not None
    graphics = browser.chosen.graphics
    seen = tab.call(_ADAPTER, None, WHAT)
    if seen is None:
        if graphics is Graphics.lavapipe:
            raise VerificationFailed("the browser offers no adapter with lavapipe")
        return Offer(browser=browser.version, graphics=graphics, adapter=None)
    adapter = true_name(seen["info"], browser.chosen)
    if graphics is Graphics.lavapipe:
        computed = tab.call(_COMPUTE, None, "computing a first shader")
        if computed != _COMPUTED:
            raise VerificationFailed(f"{adapter} computes a first shader wrongly: {computed[:4]}")
    return Offer(
        browser=browser.version,
        graphics=graphics,
        adapter=adapter,
        features=tuple(sorted(seen["features"])),
        max_buffer_bytes=int(seen["bytes"]),
    )


def adapter_name(browser: Session, tab: Tab) -> str:
    """Return what computes an open page of a secure origin.

    Raises:
        EnvironmentMismatch: It is not what the browser was started with.
        VerificationFailed: The page has no adapter, or did not answer in time.
    """
    seen: dict[str, Any] | None = tab.call(_ADAPTER, None, WHAT)
    if seen is None or browser.chosen is None:
        raise VerificationFailed("the page has no WebGPU adapter any more")
    return true_name(seen["info"], browser.chosen)
