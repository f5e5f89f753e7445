"""Own the examination of a machine: what a configuration needs, what is there, what to type."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from webslm.basics import proc
from webslm.basics.compilers import MLC_LLM
from webslm.basics.errors import ToolFailed, WebslmError
from webslm.basics.paths import PACKAGE, cache_dir
from webslm.bundle import registry
from webslm.bundle.npm import WEB_LLM, archive_name
from webslm.engine.machine import matrix, mlc_tool
from webslm.engine.machine.memory import available_memory, parameters
from webslm.engine.machine.toolchain import STAMP, environment_dir, is_elsewhere
from webslm.engine.table import COMPILER_WHEELS
from webslm.model.weights.format import Format
from webslm.proof.graphics.choice import INSTALL, features_hint
from webslm.schema import BaseSource, Config, Graphics

GIB = 1 << 30
DISK_BYTES = 2 * GIB
"""Runtime objects, a row's environment and the artifacts of a small model."""
MEMORY_BYTES = 3 * GIB
"""Peak of fine-tuning the embedded base beside a browser, measured below 2 GiB, and room."""
BYTES_PER_PARAMETER = 12
"""float32 weights, the merged copy and what training holds of each, for memory estimates."""

FEATURES = ("shader-f16", "subgroups", "timestamp-query")
"""What libraries and measurements may use."""
IMPORTS = "import tvm, torch, transformers, peft, trl"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at."""

    part: str
    state: str
    """ok, note (works, but know it), or missing."""
    text: str
    hint: str | None = None
    """What to type."""


def examine(cfg: Config) -> list[Finding]:
    """Look at everything a build of ``cfg`` needs; nothing is changed."""
    return [finding for check in CHECKS for finding in _look(check, cfg)]


def _look(check: Callable[[Config], Iterator[Finding]], cfg: Config) -> Iterator[Finding]:
    try:
        yield from check(cfg)
    except ModuleNotFoundError as exc:
        yield Finding(
            part=check.__name__.removeprefix("_"),
            state="missing",
            text=f"cannot be asked: {exc.name} is not installed",
            hint="pip install webslm",
        )


def show(console: Any, findings: list[Finding]) -> None:
    """Print one line per finding, and what to type below those that need it."""
    for finding in findings:
        line = f"{finding.state:<8}{finding.part:<12}{finding.text}"
        console.print(line, soft_wrap=True)
        if finding.hint:
            console.print(f"{'':<20}type: {finding.hint}", soft_wrap=True)


def _python(cfg: Config) -> Iterator[Finding]:
    version, allowed = platform.python_version(), cfg.runtime.allowed.get("python")
    if allowed is not None and not matrix.is_in(version, allowed.range):
        yield Finding(
            part="python",
            state="missing",
            text=f"{version} is outside {allowed.range}: {allowed.reason}",
            hint="make a virtual environment with another Python, such as python3.11 -m venv .venv",
        )
    else:
        yield Finding(part="python", state="ok", text=f"{version} at {sys.executable}")


def _row(cfg: Config) -> Iterator[Finding]:
    wrong = list(matrix.mismatches(cfg.runtime))
    for text, hint in wrong:
        yield Finding(part="row", state="missing", text=text, hint=hint)
    if not wrong:
        text = f"{cfg.runtime.name} (web-llm {cfg.runtime.web_llm})"
        yield Finding(part="row", state="ok", text=text)


def _wheels(cfg: Config) -> Iterator[Finding]:
    pins = cfg.runtime.wheels
    tools = {name: pins[name] for name in COMPILER_WHEELS if name in pins}
    elsewhere = bool(tools) and is_elsewhere(cfg.compiler.python, tools)
    here = {
        name: version
        for name, version in cfg.runtime.wheels.items()
        if not (elsewhere and name in tools)
    }
    found = matrix.installed(here)
    wrong = [name for name, version in here.items() if found[name] != version]
    if wrong:
        told = ", ".join(f"{name} {found[name] or 'absent'}, not {here[name]}" for name in wrong)
        hint = matrix.install_command(here, wrong)
        yield Finding(part="wheels", state="missing", text=told, hint=hint)
    else:
        yield Finding(part="wheels", state="ok", text=f"{len(here)} as the row pins them")
        yield _imports()
    if cfg.compiler.name == MLC_LLM:
        state, text, todo = mlc_tool.look(cfg.compiler.python, cfg.runtime)
        yield Finding(part="mlc_llm", state=state, text=text, hint=todo)
    if elsewhere and cfg.compiler.python in ("auto", "isolated"):
        folder = environment_dir(cache_dir(), tools)
        is_there = (folder / STAMP).is_file()
        text = f"{folder} {'is ready' if is_there else 'will be made by the first build (pip)'}"
        yield Finding(part="compiler", state="ok" if is_there else "note", text=text)


def _imports() -> Finding:
    """Import the heavy wheels in a fresh Python: installed is not yet loadable."""
    try:
        proc.run([sys.executable, "-c", IMPORTS], timeout=300)
    except ToolFailed as exc:
        return Finding(
            part="wheels",
            state="missing",
            text=f"they do not load: {exc.message}",
            hint="install the wheel named above again: "
            f"{shlex.quote(sys.executable)} -m pip install --force-reinstall WHEEL",
        )
    return Finding(part="wheels", state="ok", text="tvm, torch, transformers, peft and trl load")


def _npm(cfg: Config) -> Iterator[Finding]:
    stored = cache_dir() / "tools" / "npm"
    if any(stored.glob(f"web-llm-{cfg.runtime.web_llm}-*/lib/index.js")):
        text = f"not needed: web-llm {cfg.runtime.web_llm} is in the cache"
        yield Finding(part="npm", state="ok", text=text)
        return
    name, version = WEB_LLM.name, cfg.runtime.web_llm
    try:
        registry.check(name, version)
    except registry.NotFetched as exc:
        yield Finding(
            part="npm",
            state="missing",
            text=f"{name}@{version} cannot be fetched: {exc}",
            hint="export npm_config_registry=ADDRESS, or put "
            f"{archive_name(replace(WEB_LLM, version=version))} into {stored}",
        )
        return
    yield Finding(part="npm", state="ok", text=f"web-llm {version} can be fetched")


def _browser(cfg: Config) -> Iterator[Finding]:
    from webslm.bundle.serve import running_server
    from webslm.proof.webgpu import offer

    try:
        with running_server(PACKAGE / "proof" / "page") as url:
            seen = offer(
                f"{url}blank.html",
                cfg.verify.browser,
                cfg.verify.graphics,
                minimum=cfg.runtime.browser_min,
            )
    except WebslmError as exc:
        yield Finding(part="browser", state="missing", text=exc.message, hint=exc.hint)
        return
    yield Finding(part="browser", state="ok", text=f"Chromium {seen.browser}")
    if seen.adapter is None:
        yield Finding(
            part="webgpu",
            state="missing",
            text="the browser offers no adapter",
            hint="a newer Chromium; without one: until=bundle builds and skips the proof",
        )
        return
    told = ", ".join(f"{name} {'yes' if name in seen.features else 'no'}" for name in FEATURES)
    offered = f"buffers to {seen.max_buffer_bytes / GIB:.1f} GiB; {told}"
    lacking = sorted(set(Format(cfg.quant).required_features) - set(seen.features))
    yield Finding(
        part="webgpu",
        state="missing" if lacking else "ok",
        text=(f"lacks {', '.join(lacking)} for quant={cfg.quant.name}; " if lacking else "")
        + f"{seen.adapter}; {offered}",
        hint=features_hint(seen.graphics) if lacking else None,
    )
    if seen.graphics is Graphics.swiftshader and cfg.verify.graphics is Graphics.auto:
        text = "computes on the processor with SwiftShader: no float16, several times slower"
        hint = f"{INSTALL} (Debian, as root) brings lavapipe"
        yield Finding(part="graphics", state="note", text=text, hint=hint)


def _gpu(_cfg: Config) -> Iterator[Finding]:
    query = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    smi = shutil.which("nvidia-smi")
    try:
        text = None if smi is None else proc.run([smi, *query], timeout=30).strip()
    except ToolFailed as exc:
        yield Finding(part="gpu", state="note", text=f"the driver does not answer: {exc.message}")
        return
    state = "ok" if text else "note"
    yield Finding(part="gpu", state=state, text=text or "no NVIDIA GPU: training runs on the CPU")


def _disk(cfg: Config) -> Iterator[Finding]:
    for part, folder in (("cache", cache_dir()), ("output", Path(cfg.output_dir))):
        whole = folder.absolute()
        there = next(path for path in (whole, *whole.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if not os.access(there, os.W_OK):
            text, hint = f"{there} cannot be written", "choose another folder: " + _move(part)
        elif free < DISK_BYTES:
            text = f"{free / GIB:.1f} GiB free at {there}, {DISK_BYTES / GIB:.0f} are wise"
            hint = f"make room, or {_move(part)}"
        else:
            yield Finding(part=part, state="ok", text=f"{free / GIB:.0f} GiB free at {there}")
            continue
        yield Finding(part=part, state="missing", text=text, hint=hint)


def _move(part: str) -> str:
    return "export WEBSLM_CACHE=FOLDER" if part == "cache" else "output_dir=FOLDER"


def _memory(cfg: Config) -> Iterator[Finding]:
    needed = max(MEMORY_BYTES, parameters(cfg) * BYTES_PER_PARAMETER)
    free = available_memory()
    text = f"{free / GIB:.1f} GiB available, about {needed / GIB:.1f} needed"
    if free < needed:
        hint = "close programs, or a smaller base: base=tiny"
        yield Finding(part="memory", state="missing", text=text, hint=hint)
    else:
        yield Finding(part="memory", state="ok", text=text)


_HUBLESS = {
    BaseSource.tiny: "is made on this machine",
    BaseSource.local: "is a folder",
    BaseSource.gguf: "is a file",
    BaseSource.wheel: "comes from the package index",
}


def _hub(cfg: Config) -> Iterator[Finding]:
    if cfg.base.source not in (BaseSource.hub, BaseSource.auto):
        text = f"not needed: base={cfg.base.name} {_HUBLESS[cfg.base.source]}"
        yield Finding(part="hub", state="ok", text=text)
        return
    from webslm.hub.token import token_rights

    state, text = token_rights()
    hint = "export HF_TOKEN=TOKEN (a read token)" if state == "missing" else None
    yield Finding(part="hub", state=state, text=text, hint=hint)


CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    _python,
    _row,
    _wheels,
    _npm,
    _browser,
    _gpu,
    _disk,
    _memory,
    _hub,
)
