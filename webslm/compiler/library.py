"""Own the way from a shape and a format to a Relax executable. Link nothing, read no weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

from webslm.compiler.kernels.emitter import Emitter
from webslm.compiler.kernels.kv_cache import emit_create
from webslm.compiler.kernels.sampler import emit_sampler
from webslm.compiler.kernels.threads import Threads, threads
from webslm.compiler.memory import library_tensors
from webslm.compiler.metadata import metadata, metadata_json
from webslm.compiler.passes.deferral import load_first_what_runs
from webslm.compiler.passes.pipeline import finish, lower, with_metadata
from webslm.compiler.wasm.contract import ALL_LOGITS
from webslm.model.architectures import architecture
from webslm.model.weights.format import StoredTensor
from webslm.schema import QuantConf, ShapeConf

WASM_TRIPLE = "wasm32-unknown-unknown-wasm"


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """An executable and what is known about it."""

    executable: Any
    """``relax.VMExecutable``."""
    metadata: dict[str, Any]
    stored: list[StoredTensor]
    """The library's parameters in the order of the packed argument."""


def webgpu_target() -> Any:
    """Return the browser's target: WebGPU kernels, wasm32 host code."""
    return tvm.target.Target(
        {"kind": "webgpu"}, host={"kind": "llvm", "mtriple": WASM_TRIPLE, "vector-width": 128}
    )


def native_target() -> Any:
    """Return this machine's CPU."""
    return tvm.target.Target("llvm")


def build_module(
    shape: ShapeConf,
    quant: QuantConf,
    *,
    prefill_chunk_size: int,
    target: Any,
    activations: str | None = None,
) -> Any:
    """Write the IRModule: model functions, cache, sampling; ``_metadata`` comes with lowering.

    ``activations`` is as ``compile_library`` takes it.
    """
    dtype = activations or quant.dtype
    stored = library_tensors(shape, quant)
    builder = relax.BlockBuilder()
    with target:
        _emit_model(builder, shape, quant, dtype, stored, prefill_chunk_size, threads(target))
        rotates = not architecture(shape.model_type).style.head_norms
        emit_create(builder, shape, dtype, target, rotates=rotates)
        emit_sampler(builder, shape.vocab_size, threads(target))
    return builder.finalize()


def compile_library(
    shape: ShapeConf,
    quant: QuantConf,
    *,
    context_window_size: int,
    prefill_chunk_size: int,
    target: Any,
    opt_level: int = 2,
    activations: str | None = None,
) -> Compiled:
    """Compile for a target; equal arguments give equal bytes.

    Args:
        shape: The model.
        quant: Its format: the type and order of every parameter follow from it alone.
        context_window_size: Tokens of the page's cache.
        prefill_chunk_size: Tokens of a prompt computed at once.
        target: What the kernels run on.
        opt_level: Of the host code.
        activations: Type of what passes between kernels and of the cache; the format's when
            None. Kernels add up in float32 whatever it is, and logits are float32.
    """
    stored = library_tensors(shape, quant)
    module = build_module(
        shape,
        quant,
        prefill_chunk_size=prefill_chunk_size,
        target=target,
        activations=activations,
    )
    with target, tvm.transform.PassContext(opt_level=opt_level):
        module, usage = lower(module, target, chunk=prefill_chunk_size)
        document = metadata(
            shape,
            quant,
            stored,
            activations=activations or quant.dtype,
            context_window_size=context_window_size,
            prefill_chunk_size=prefill_chunk_size,
            memory_usage=usage,
        )
        module = with_metadata(module, metadata_json(document))
        executable = relax.build(module, target, relax_pipeline=finish())
    load_first_what_runs(executable)
    return Compiled(executable=executable, metadata=document, stored=stored)


def _emit_model(
    builder: relax.BlockBuilder,
    shape: ShapeConf,
    quant: QuantConf,
    dtype: str,
    stored: list[StoredTensor],
    chunk: int,
    kind: Threads,
) -> None:
    layers = architecture(shape.model_type)
    hidden, offset = shape.hidden_size, layers.style.norm_offset
    places = {tensor.name: place for place, tensor in enumerate(stored)}
    kinds = [relax.TensorType(tensor.shape, tensor.dtype) for tensor in stored]

    def embed(emit: Emitter, ids: Any, _cache: Any) -> Any:
        return layers.embed(emit, shape, ids)

    def forward(emit: Emitter, x: Any, cache: Any) -> Any:
        return relax.Tuple([layers.logits(emit, shape, x), cache])

    def verify(emit: Emitter, x: Any, cache: Any) -> Any:
        return relax.Tuple([layers.logits(emit, shape, x, every=True), cache])

    def write(name: str, first: Any, body: Callable[..., Any], *, cached: bool) -> None:
        cache = relax.Var("kv_cache", relax.AnyType()) if cached else None
        packed = relax.Var("packed_params", relax.TupleType(kinds))
        inputs = [first, *([cache] if cached else []), packed]
        bounds = {"tir_var_upper_bound": {"n": chunk}, "num_input": len(inputs) - 1}
        with builder.function(name, inputs, attrs=bounds):
            with builder.dataflow():
                emit = Emitter(
                    *(builder, shape, quant, places, packed, kind, cache),
                    activations=dtype,
                    norm_offset=offset,
                )
                result = builder.emit_output(body(emit, first, cache))
            builder.emit_func_output(result)

    n = tvm.tirx.Var("n", "int64")
    write("embed", relax.Var("ids", relax.TensorType((n,), "int32")), embed, cached=False)
    n = tvm.tirx.Var("n", "int64")
    rows = relax.Var("x", relax.TensorType((1, n, hidden), dtype))
    write("prefill", rows, forward, cached=True)
    row = relax.Var("x", relax.TensorType((1, 1, hidden), dtype))
    write("decode", row, forward, cached=True)
    n = tvm.tirx.Var("n", "int64")
    rows = relax.Var("x", relax.TensorType((1, n, hidden), dtype))
    write(ALL_LOGITS, rows, verify, cached=True)
