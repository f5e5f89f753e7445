"""Own the creation of the paged attention cache, without the kernels a chat never runs.

TVM's own helper passes tree attention and sliding windows too: five shaders that cost seconds at
load. The runtime reads an empty tuple as absent, so their places are kept and left empty. Windows
are masks of our own kernels (``attention``), so the runtime is told of none.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.frontend.nn.llm import kv_cache as tvm_cache

from webslm.compiler.kernels.attention import prefill_paged, prefill_ragged
from webslm.compiler.kernels.attention_decode import decode
from webslm.compiler.kernels.attention_tile import Attention
from webslm.compiler.kernels.merge import merge_attention
from webslm.compiler.kernels.rope import Heads, split, split_rotated
from webslm.compiler.kernels.threads import threads
from webslm.compiler.metadata import PAGE_TOKENS
from webslm.model.architectures.rope import rope_table
from webslm.model.architectures.shape import window
from webslm.schema import ShapeConf

SIZES = ("max_batch_size", "max_total_seq_len", "prefill_chunk_size", "page_size", "sliding")


def emit_create(
    builder: relax.BlockBuilder, shape: ShapeConf, dtype: str, target: Any, *, rotates: bool
) -> None:
    """Write ``create_tir_paged_kv_cache``: five shapes of one integer each -> the cache.

    It keeps and attends in ``dtype``. ``rotates`` tells whether the cache rotates queries and
    keys; else they come rotated.
    """
    sizes = [tvm.tirx.Var(name, "int64") for name in SIZES]
    inputs = [relax.Var(size.name, relax.ShapeType([size])) for size in sizes]
    with builder.function("create_tir_paged_kv_cache", inputs):
        with builder.dataflow():
            created = builder.emit_output(
                builder.emit(
                    relax.call_pure_packed(
                        "vm.builtin.paged_attention_kv_cache_create",
                        *_sizes_and_rope(shape, dtype, sizes, rotates=rotates),
                        *_Kernels(builder, shape, dtype, target).arguments(rotates=rotates),
                        ty_args=relax.AnyType(),
                    )
                )
            )
        builder.emit_func_output(created)


def _sizes_and_rope(shape: ShapeConf, dtype: str, sizes: list[Any], *, rotates: bool) -> list[Any]:
    """Return the first 13 of the constructor's 28 arguments."""
    layers = shape.num_hidden_layers
    mode = tvm_cache.RopeMode.NORMAL if rotates else tvm_cache.RopeMode.NONE
    # A tensor makes the runtime call the rope kernel with it in place of a flag.
    last = relax.const(rope_table(shape).frequencies) if rotates else relax.prim_value(0)
    whole = [
        shape.num_attention_heads,
        shape.num_key_value_heads,
        shape.head_dim,
        shape.head_dim,
    ]
    return [
        relax.ShapeExpr(sizes),
        relax.ShapeExpr([0, layers]),
        *(relax.prim_value(value) for value in whole),
        relax.ShapeExpr([int(tvm_cache.AttnKind.MHA)] * layers),
        relax.prim_value(0),
        relax.prim_value(int(mode)),
        relax.prim_value(1.0),
        relax.prim_value(float(shape.rope_theta)),
        last,
        relax.op.zeros((), dtype),
    ]


class _Kernels:
    """The 15 function arguments of the constructor, in its order."""

    def __init__(
        self, builder: relax.BlockBuilder, shape: ShapeConf, dtype: str, target: Any
    ) -> None:
        self._builder = builder
        self._shape = shape
        self._heads = shape.num_attention_heads
        self._kv_heads = shape.num_key_value_heads
        self._dim = shape.head_dim
        self._layers = shape.num_hidden_layers
        self._dtype = dtype
        self._target = target

    def arguments(self, *, rotates: bool) -> list[Any]:
        """Return the functions; absent ones as empty tuples."""
        absent = relax.Tuple([])
        kv_heads, dim, dtype = self._kv_heads, self._dim, self._dtype
        append = tvm_cache._kv_cache_transpose_append(kv_heads, dim, dtype)
        heads = Heads(heads=self._heads, kv_heads=kv_heads, dim=dim, dtype=dtype)
        rope = split_rotated(heads, rope_table(self._shape)) if rotates else split(heads)
        merge = merge_attention(self._heads, dim, dtype, threads(self._target))
        debug = tvm_cache._kv_cache_debug_get_kv(self._layers, kv_heads, dim, dtype)
        copy, compact = self._copies()
        ragged, paged, decode = self._attention()
        return [
            self._add("kv_append", append),
            absent,
            self._tir("attention_prefill_ragged", ragged),
            self._tir("attention_prefill", paged),
            self._tir("attention_decode", decode),
            *[absent] * 5,
            relax.Tuple([self._add("attention_merge", merge)]),
            self._add("rope", rope),
            self._add("kv_copy_page", copy),
            self._add("kv_debug", debug),
            self._add("kv_compact", compact),
        ]

    def _attention(self) -> tuple[Any, ...]:
        """Return the kernels of a chunk over itself, of one over the past, of a token."""
        plan = Attention(
            heads=self._heads,
            kv_heads=self._kv_heads,
            dim=self._dim,
            dtype=self._dtype,
            window=window(self._shape),
            cap=self._shape.attn_logit_softcapping,
        )
        kernels = (prefill_ragged, prefill_paged, decode)
        return tuple(kernel(plan, threads(self._target)) for kernel in kernels)

    def _copies(self) -> tuple[Any, Any]:
        kv_heads, dim, dtype, target = self._kv_heads, self._dim, self._dtype, self._target
        if target.kind.name == "llvm":
            return (
                tvm_cache._copy_single_page_cpu(kv_heads, PAGE_TOKENS, dim, dtype),
                tvm_cache._compact_kv_copy_cpu(kv_heads, dim, dtype),
            )
        return (
            tvm_cache._copy_single_page(kv_heads, PAGE_TOKENS, dim, dtype, target),
            tvm_cache._compact_kv_copy(kv_heads, dim, dtype, target),
        )

    def _add(self, name: str, function: Any) -> Any:
        if "global_symbol" in function.attrs:
            function = function.without_attr("global_symbol")
        return self._builder.add_func(function, name)

    def _tir(self, name: str, function: Any) -> Any:
        return relax.Tuple([tvm.ir.StringImm("tirx"), self._add(name, function)])
