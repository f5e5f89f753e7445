"""Own the creation of the paged attention cache, without the kernels a chat never runs.

TVM's own helper passes tree attention and sliding windows too: five shaders that cost seconds at
load. The runtime reads an empty tuple as absent, so their places are kept and left empty.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.frontend.nn.llm import kv_cache as tvm_cache

from webslm.compiler.kernels.merge import merge_attention
from webslm.compiler.kernels.threads import threads
from webslm.schema import QuantConf, ShapeConf

PAGE_TOKENS = 16
"""Tokens of a page; fixed in TVM's attention kernels."""
SIZES = ("max_batch_size", "max_total_seq_len", "prefill_chunk_size", "page_size", "sliding")


def emit_create(
    builder: relax.BlockBuilder, shape: ShapeConf, quant: QuantConf, target: Any
) -> None:
    """Write ``create_tir_paged_kv_cache``: five shapes of one integer each -> the cache."""
    sizes = [tvm.tirx.Var(name, "int64") for name in SIZES]
    inputs = [relax.Var(size.name, relax.ShapeType([size])) for size in sizes]
    with builder.function("create_tir_paged_kv_cache", inputs):
        with builder.dataflow():
            created = builder.emit_output(
                builder.emit(
                    relax.call_pure_packed(
                        "vm.builtin.paged_attention_kv_cache_create",
                        *_sizes_and_rope(shape, quant, sizes),
                        *_Kernels(builder, shape, quant, target).arguments(),
                        ty_args=relax.AnyType(),
                    )
                )
            )
        builder.emit_func_output(created)


def _sizes_and_rope(shape: ShapeConf, quant: QuantConf, sizes: list[Any]) -> list[Any]:
    """Return the first 13 of the constructor's 28 arguments."""
    layers = shape.num_hidden_layers
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
        relax.prim_value(int(tvm_cache.RopeMode.NORMAL)),
        relax.prim_value(1.0),
        relax.prim_value(float(shape.rope_theta)),
        # A tensor here would mean long-rope factors and another calling form of the rope kernel.
        relax.prim_value(0),
        relax.op.zeros((), quant.dtype),
    ]


class _Kernels:
    """The 15 function arguments of the constructor, in its order."""

    def __init__(
        self, builder: relax.BlockBuilder, shape: ShapeConf, quant: QuantConf, target: Any
    ) -> None:
        self._builder = builder
        self._heads = shape.num_attention_heads
        self._kv_heads = shape.num_key_value_heads
        self._dim = shape.head_dim
        self._layers = shape.num_hidden_layers
        self._theta = float(shape.rope_theta)
        self._dtype = quant.dtype
        self._target = target

    def arguments(self) -> list[Any]:
        """Return the functions; absent ones as empty tuples."""
        absent = relax.Tuple([])
        kv_heads, dim, dtype = self._kv_heads, self._dim, self._dtype
        append = tvm_cache._kv_cache_transpose_append(kv_heads, dim, dtype)
        rope = tvm_cache.llama_rope_with_position_map(
            self._theta, 1.0, dim, self._heads, kv_heads, dtype, {}, dim
        )
        merge = merge_attention(self._heads, dim, dtype, threads(self._target))
        debug = tvm_cache._kv_cache_debug_get_kv(self._layers, kv_heads, dim, dtype)
        ragged, paged, decode, copy, compact = (
            self._cpu() if self._target.kind.name == "llvm" else self._gpu()
        )
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

    def _gpu(self) -> tuple[Any, ...]:
        kv_heads, heads, dim, dtype = self._kv_heads, self._heads, self._dim, self._dtype
        target, sliding = self._target, False
        return (
            tvm_cache._attention_prefill_ragged(kv_heads, heads, dim, dim, dtype, {}, target),
            tvm_cache._attention_prefill(kv_heads, heads, dim, dtype, sliding, {}, target),
            tvm_cache._attention_decode(kv_heads, heads, dim, dtype, sliding, {}, target),
            tvm_cache._copy_single_page(kv_heads, PAGE_TOKENS, dim, dtype, target),
            tvm_cache._compact_kv_copy(kv_heads, dim, dtype, target),
        )

    def _cpu(self) -> tuple[Any, ...]:
        kv_heads, heads, dim, dtype = self._kv_heads, self._heads, self._dim, self._dtype
        sliding = False
        return (
            tvm_cache._attention_prefill_ragged_cpu(kv_heads, heads, dim, dim, dtype, {}),
            tvm_cache._attention_prefill_cpu(kv_heads, heads, dim, dtype, sliding, {}),
            tvm_cache._attention_decode_cpu(kv_heads, heads, dim, dtype, sliding, {}),
            tvm_cache._copy_single_page_cpu(kv_heads, PAGE_TOKENS, dim, dtype),
            tvm_cache._compact_kv_copy_cpu(kv_heads, dim, dtype),
        )

    def _add(self, name: str, function: Any) -> Any:
        if "global_symbol" in function.attrs:
            function = function.without_attr("global_symbol")
        return self._builder.add_func(function, name)

    def _tir(self, name: str, function: Any) -> Any:
        return relax.Tuple([tvm.ir.StringImm("tirx"), self._add(name, function)])
