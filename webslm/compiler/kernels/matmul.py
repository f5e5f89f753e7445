"""Own the linear layer of many rows: tiles in shared memory, products in registers. No Relax.

A block of 8 x 8 threads owns a square tile of the result and walks the columns in steps of a
group of the format; codes become values once, as they enter shared memory. Results narrower than
``WIDE`` get small tiles: else a short prompt leaves most of a GPU idle. TVM's schedule of the same
product took twice the time on an H100 (and four times in float32).
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.dequantize import centred
from webslm.compiler.kernels.elementwise import soft_capped
from webslm.compiler.kernels.threads import Threads
from webslm.model.weights.format import Format
from webslm.schema import QuantConf

SIDE = 8
THREADS = SIDE * SIDE
WIDE = 2048
SMALL_TILE, LARGE_TILE = 32, 64
PLAIN_STEP = 32
"""Columns of a step of an unquantized weight."""


@dataclass(frozen=True, kw_only=True)
class Matmul:
    """What one kernel computes: out = x W^T (+ bias) (+ residual), capped."""

    rows: int
    """Rows of the weight, which is the length of a result's row."""
    columns: int
    quantized: bool
    bias: bool = False
    residual: bool = False
    cap: float | None = None
    """The result is cap * tanh(result / cap)."""
    dtype: str
    """Type of the result."""
    inputs: str | None = None
    """Type of x and residual; the format's when None. Weight and bias are as they are stored."""


def matmul(plan: Matmul, quant: QuantConf, threads: Threads) -> Any:
    """Return the kernel: x [1, n, K], weight, scales, bias, residual -> out [1, n, N].

    The signature is the same for every plan; what a plan does not use is never read.
    """
    rows, columns, dtype, out_dtype = plan.rows, plan.columns, quant.dtype, plan.dtype
    x_dtype = plan.inputs or dtype
    quantized, has_bias, has_residual = plan.quantized, plan.bias, plan.residual
    cap = plan.cap
    tile = LARGE_TILE if rows >= WIDE else SMALL_TILE
    side = tile // SIDE
    form = Format(quant)
    per_word = form.codes_per_word if quantized else 1
    step = quant.group_size if quantized else PLAIN_STEP
    words = step // per_word
    wide = step + 1 - step % 2
    groups = -(-columns // step)
    bind, shared, private = threads.bind, threads.shared, threads.private
    copies = threads.copies(THREADS)
    # Unrolled loads crash the compiler of SwiftShader, which knows no float16; there loops cost an
    # H100 a fifth and more, in float32 a tenth at most (bench/results/dawn.md).
    loads = T.serial if x_dtype == "float32" else T.unroll

    @T.prim_func(s_tir=True, private=True)
    def matmul(
        var_x: T.handle,
        var_weight: T.handle,
        var_scales: T.handle,
        var_bias: T.handle,
        var_residual: T.handle,
        var_out: T.handle,
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        n = T.int64()
        x = T.match_buffer(var_x, (1, n, columns), x_dtype)
        if quantized:
            codes = T.match_buffer(var_weight, (rows, groups * words), "uint32")
            scales = T.match_buffer(var_scales, (rows, groups), dtype)
        else:
            weight = T.match_buffer(var_weight, (rows, columns), dtype)
        if has_bias:
            bias = T.match_buffer(var_bias, (rows,), dtype)
        if has_residual:
            residual = T.match_buffer(var_residual, (1, n, rows), x_dtype)
        out = T.match_buffer(var_out, (1, n, rows), out_dtype)
        for bx in bind(-(-rows // tile), thread="blockIdx.x"):
            for by in bind((n + tile - 1) // tile, thread="blockIdx.y"):
                with T.sblock("tile"):
                    b, a = T.axis.remap("SS", [bx, by])
                    T.reads()
                    T.writes()
                    # Flat and of odd width: TVM compacts padding, and banks must differ by row.
                    x_s = T.sblock_alloc_buffer((tile * wide,), "float32", scope=shared)
                    w_s = T.sblock_alloc_buffer((tile * wide,), "float32", scope=shared)
                    acc = T.sblock_alloc_buffer((copies, side * side), "float32", scope=private)
                    for t in bind(THREADS, thread="threadIdx.x"):
                        with T.sblock("zero"):
                            T.reads()
                            T.writes()
                            for i in T.unroll(side * side):
                                acc[t % copies, i] = T.float32(0)
                    for c in T.serial(groups):
                        for t in bind(THREADS, thread="threadIdx.x"):
                            with T.sblock("load"):
                                T.reads()
                                T.writes()
                                word = T.sblock_alloc_buffer((1,), "uint32", scope="local")
                                scale = T.sblock_alloc_buffer((1,), "float32", scope="local")
                                for i in loads(-(-tile * step // THREADS)):
                                    e: T.let[T.int32] = i * THREADS + t
                                    k: T.let[T.int32] = c * step + e % step
                                    row: T.let[T.int64] = a * tile + e // step
                                    if e < tile * step:
                                        x_s[e // step * wide + e % step] = T.if_then_else(
                                            row < n and k < columns,
                                            T.Cast("float32", x[0, row, k]),
                                            T.float32(0),
                                        )
                                if quantized:
                                    for i in loads(-(-tile * words // THREADS)):
                                        e: T.let[T.int32] = i * THREADS + t
                                        own: T.let[T.int32] = T.min(b * tile + e // words, rows - 1)
                                        if e < tile * words:
                                            word[0] = codes[own, c * words + e % words]
                                            scale[0] = T.Cast("float32", scales[own, c])
                                            for j in T.unroll(per_word):
                                                w_s[
                                                    e // words * wide + e % words * per_word + j
                                                ] = centred(word[0], j, form) * scale[0]
                                else:
                                    for i in loads(-(-tile * step // THREADS)):
                                        e: T.let[T.int32] = i * THREADS + t
                                        own: T.let[T.int32] = T.min(b * tile + e // step, rows - 1)
                                        if e < tile * step:
                                            w_s[e // step * wide + e % step] = T.Cast(
                                                "float32",
                                                weight[
                                                    own, T.min(c * step + e % step, columns - 1)
                                                ],
                                            )
                        for t in bind(THREADS, thread="threadIdx.x"):
                            with T.sblock("multiply"):
                                T.reads()
                                T.writes()
                                x_r = T.sblock_alloc_buffer((side,), "float32", scope="local")
                                w_r = T.sblock_alloc_buffer((side,), "float32", scope="local")
                                for k in T.serial(step):
                                    for i in T.unroll(side):
                                        x_r[i] = x_s[(t // SIDE + i * SIDE) * wide + k]
                                    for j in T.unroll(side):
                                        w_r[j] = w_s[(t % SIDE + j * SIDE) * wide + k]
                                    for i in T.unroll(side):
                                        for j in T.unroll(side):
                                            acc[t % copies, i * side + j] += x_r[i] * w_r[j]
                    for t in bind(THREADS, thread="threadIdx.x"):
                        with T.sblock("finish"):
                            T.reads()
                            T.writes()
                            value = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            for i in T.unroll(side):
                                for j in T.unroll(side):
                                    row: T.let[T.int64] = a * tile + t // SIDE + i * SIDE
                                    at: T.let[T.int32] = b * tile + t % SIDE + j * SIDE
                                    if row < n and at < rows:
                                        value[0] = acc[t % copies, i * side + j]
                                        if has_bias:
                                            value[0] += T.Cast("float32", bias[at])
                                        if has_residual:
                                            value[0] += T.Cast("float32", residual[0, row, at])
                                        if cap is not None:
                                            value[0] = soft_capped(value[0], cap)
                                        out[0, row, at] = T.Cast(out_dtype, value[0])

    return matmul
