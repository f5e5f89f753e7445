"""Own the stage ``compile``: shape and format become a checked model library.

``compile_f16`` is the same work with float16 as ``activations``, for chips that have it: parameters
keep the types and the order of the float32 format, so one set of shards serves both libraries.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import artifact_files, fs
from webslm.basics.compilers import MLC_LLM, PREBUILT
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.keys import file_digest
from webslm.basics.stage import Context, Metric, Metrics
from webslm.compiler import mlc_llm, prebuilt
from webslm.compiler.memory import memory_plan
from webslm.compiler.shader_facts import FACTS, UNKNOWN, foreign_shader_facts, shader_facts
from webslm.compiler.windows import window_problems
from webslm.engine.machine import toolchain
from webslm.model.weights.format import required_features
from webslm.model.weights.mlc_config import config_of
from webslm.schema import CompileStageConf

if TYPE_CHECKING:
    from webslm.compiler.library import Compiled
    from webslm.compiler.wasm.abi import LibraryAbi

STEPS = 4
METRICS = ("wasm_bytes", *FACTS, "memory")


def run(cfg: CompileStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write ``library-<sha256[:16]>.wasm`` and ``library.json``; ``inputs`` is empty.

    Raises:
        ConfigError: The shape, the format or the sizes cannot be compiled.
        StageFailed: The library breaks a limit of its profile, its budget or the contract of
            web-llm.
    """
    del inputs
    if problems := tuple(window_problems(cfg.compiler, cfg.shape)):
        raise ConfigError(problems=problems)
    if cfg.compiler.name == PREBUILT:
        return _take_over(cfg, out, ctx)
    if cfg.compiler.name == MLC_LLM:
        return _by_mlc_llm(cfg, out, ctx)
    wheels = cfg.runtime.wheels
    python = toolchain.interpreter(ctx.cache_dir, cfg.compiler.python, wheels, ctx.progress.note)
    if python is not None:
        here = replace(cfg, compiler=replace(cfg.compiler, python="here"))
        return toolchain.run_stage(python, "compile", here, out, ctx, wheels)
    from webslm.compiler.library import compile_library, webgpu_target
    from webslm.compiler.wasm.contract import contract_of
    from webslm.compiler.wasm.objects import check_vm_functions, write_library
    from webslm.compiler.wasm.runtime import build_runtime

    contract = contract_of(cfg.runtime.web_llm)
    ctx.progress.update(0, STEPS, "wasm runtime")
    runtime_dir = build_runtime(
        ctx.cache_dir / "tools" / "wasm-runtime",
        jobs=os.cpu_count(),
        on_progress=ctx.progress.note,
    )
    ctx.progress.update(1, STEPS, "kernels")
    compiled = compile_library(
        cfg.shape,
        cfg.quant,
        context_window_size=cfg.compiler.context_window_size,
        prefill_chunk_size=cfg.compiler.prefill_chunk_size,
        target=webgpu_target(),
        opt_level=cfg.compiler.opt_level,
        activations=cfg.activations,
    )
    check_vm_functions(compiled.executable)
    ctx.progress.update(2, STEPS, "link")
    linked = out / "library.wasm"
    abi = write_library(compiled.executable, runtime_dir, linked, contract)
    ctx.progress.update(3, STEPS, "shaders")
    document = _document(cfg, compiled, abi) | shader_facts(cfg, linked)
    _check_budget(cfg, document)
    name = _seal(linked, document)
    ctx.progress.update(STEPS, STEPS, name)
    return {key: document[key] for key in METRICS}


def _take_over(cfg: CompileStageConf, out: Path, ctx: Context) -> Metrics:
    ctx.progress.update(0, 1, "library")
    linked = out / "library.wasm"
    document = prebuilt.adopt(cfg, linked)
    document |= _foreign_shaders(cfg, linked, ctx)
    _check_budget(cfg, document)
    _seal(linked, document)
    return {key: document[key] for key in (*METRICS, "source")}


def _by_mlc_llm(cfg: CompileStageConf, out: Path, ctx: Context) -> Metrics:
    python = mlc_llm.interpreter(cfg.compiler.python)
    ctx.progress.update(0, 2, "mlc_llm compile")
    linked = out / "library.wasm"
    mlc_llm.make_library(
        python,
        config_of(cfg.shape),
        linked,
        quantization=cfg.quant.name,
        context_window_size=cfg.compiler.context_window_size,
        prefill_chunk_size=cfg.compiler.prefill_chunk_size,
        opt_level=cfg.compiler.opt_level,
        log_dir=ctx.log_dir,
    )
    ctx.progress.update(1, 2, "library")
    document = prebuilt.examine(cfg, linked, "mlc_llm's library")
    document["tools"] = mlc_llm.probe(python).known
    document |= _foreign_shaders(cfg, linked, ctx)
    _check_budget(cfg, document)
    _seal(linked, document)
    return {key: document[key] for key in (*METRICS, "tools")}


def _foreign_shaders(cfg: CompileStageConf, linked: Path, ctx: Context) -> Metrics:
    found = foreign_shader_facts(cfg, linked)
    if found["num_shaders"] == UNKNOWN:
        ctx.progress.note("shaders cannot be read: not counted, not held against limits")
    return found


def _seal(linked: Path, document: dict[str, Metric]) -> str:
    """Name a finished library by its content, write what it says beside it; return the name."""
    digest = file_digest(linked)
    # The page caches a library by its address for ever: new bytes need a new name.
    name = f"library-{digest[:16]}.wasm"
    linked.rename(linked.with_name(name))
    document |= {"wasm": name, "wasm_sha256": digest}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    fs.write_text(linked.with_name(artifact_files.LIBRARY), text)
    return name


def _check_budget(cfg: CompileStageConf, document: Mapping[str, Any]) -> None:
    over = [
        f"{found} {what}, and compiler.{key} allows {most}"
        for key, what, found, most in (
            ("max_shaders", "shaders", document["num_shaders"], cfg.compiler.max_shaders),
            (
                "max_wasm_bytes",
                "bytes of library",
                document["wasm_bytes"],
                cfg.compiler.max_wasm_bytes,
            ),
        )
        if most is not None and found > most
    ]
    if over:
        raise StageFailed(
            f"compile: {'; '.join(over)}", hint="raise the budget, or set it to null for none"
        )


def _document(cfg: CompileStageConf, compiled: Compiled, abi: LibraryAbi) -> dict[str, Metric]:
    metadata = compiled.metadata
    computes = cfg.activations or cfg.quant.dtype
    features: list[Metric] = [*required_features(computes)]
    memory = memory_plan(
        cfg.shape,
        replace(cfg.quant, dtype=computes),
        compiled.stored,
        context_window_size=cfg.compiler.context_window_size,
        prefill_chunk_size=cfg.compiler.prefill_chunk_size,
        memory_usage=metadata["memory_usage"],
    )
    return {
        "metadata": metadata,
        "required_features": features,
        "memory": memory,
        "abi": abi.facts(),
        "wasm_bytes": abi.size_bytes,
    }
