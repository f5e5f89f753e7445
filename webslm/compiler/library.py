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
    builder = relax.BlockBuilder()
    with target:
        writer = _Writer(
            builder=builder,
            shape=shape,
            quant=quant,
            dtype=dtype,
            stored=library_tensors(shape, quant),
            chunk=prefill_chunk_size,
            kind=threads(target),
        )
        _emit_model(writer)
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
        activations: As ``Emitter`` takes it, and of the cache; the format's when None.
    """
    stored, chunk = library_tensors(shape, quant), prefill_chunk_size
    module = build_module(
        shape, quant, prefill_chunk_size=chunk, target=target, activations=activations
    )
    with target, tvm.transform.PassContext(opt_level=opt_level):
        module, usage = lower(module, target, chunk=chunk)
        document = metadata(
            shape,
            quant,
            stored,
            activations=activations or quant.dtype,
            context_window_size=context_window_size,
            prefill_chunk_size=chunk,
            memory_usage=usage,
        )
        whole = with_metadata(module, metadata_json(document))
        executable = relax.build(whole, target, relax_pipeline=finish())
    load_first_what_runs(executable)
    return Compiled(executable=executable, metadata=document, stored=stored)


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """Writes a model's functions into a module, each over the packed parameters."""

    builder: relax.BlockBuilder
    shape: ShapeConf
    quant: QuantConf
    dtype: str
    """Type of what passes between kernels."""
    stored: list[StoredTensor]
    chunk: int
    kind: Threads

    def write(self, name: str, first: Any, body: Callable[..., Any], *, cached: bool) -> None:
        """Write one function: ``first``, the cache where there is one, packed parameters."""
        kinds = [relax.TensorType(tensor.shape, tensor.dtype) for tensor in self.stored]
        cache = relax.Var("kv_cache", relax.AnyType()) if cached else None
        packed = relax.Var("packed_params", relax.TupleType(kinds))
        inputs = [first, *([cache] if cached else []), packed]
        bounds = {"tir_var_upper_bound": {"n": self.chunk}, "num_input": len(inputs) - 1}
        with self.builder.function(name, inputs, attrs=bounds):
            with self.builder.dataflow():
                result = self.builder.emit_output(body(self._emitter(packed, cache), first, cache))
            self.builder.emit_func_output(result)

    def _emitter(self, packed: Any, cache: Any) -> Emitter:
        return Emitter(
            self.builder,
            self.shape,
            self.quant,
            {tensor.name: place for place, tensor in enumerate(self.stored)},
            packed,
            self.kind,
            cache,
            activations=self.dtype,
            norm_offset=architecture(self.shape.model_type).style.norm_offset,
        )


def _emit_model(writer: _Writer) -> None:
    shape = writer.shape
    layers = architecture(shape.model_type)

    def embed(emit: Emitter, ids: Any, _cache: Any) -> Any:
        return layers.embed(emit, shape, ids)

    def forward(emit: Emitter, x: Any, cache: Any) -> Any:
        return relax.Tuple([layers.logits(emit, shape, x), cache])

    def verify(emit: Emitter, x: Any, cache: Any) -> Any:
        return relax.Tuple([layers.logits(emit, shape, x, every=True), cache])

    def rows(n: Any) -> Any:
        return relax.Var("x", relax.TensorType((1, n, shape.hidden_size), writer.dtype))

    n = tvm.tirx.Var("n", "int64")
    writer.write("embed", relax.Var("ids", relax.TensorType((n,), "int32")), embed, cached=False)
    writer.write("prefill", rows(tvm.tirx.Var("n", "int64")), forward, cached=True)
    writer.write("decode", rows(1), forward, cached=True)
    writer.write(ALL_LOGITS, rows(tvm.tirx.Var("n", "int64")), verify, cached=True)
