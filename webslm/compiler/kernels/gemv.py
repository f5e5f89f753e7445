"""Own the linear layer of one row, with what stands before and after it in one kernel. No Relax.

A decoded token costs dispatches before it costs arithmetic, so the RMSNorm before the product and
the bias, gate or residual after it are part of it. The norm needs no pass of its own: its divisor
is a number of the whole row, so it is summed along with the product and applied at the end.

A block owns ``LANE_GROUPS * rows_per_group`` rows. 16 or 32 threads share a row: each sums a part
of it, and after a single barrier one thread adds the parts up.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.dequantize import centred
from webslm.compiler.kernels.elementwise import activated, soft_capped
from webslm.compiler.kernels.threads import Threads
from webslm.model.weights.format import Format
from webslm.schema import QuantConf

LANES, MANY_LANES = 16, 32
MANY_TURNS = 16
"""A thread that reads more units of a row one after the other waits for each: it gets help."""
LANE_GROUPS = 4
PLAIN_UNIT = 4
"""Elements of an unquantized weight that a thread reads in one turn."""
MANY_ROWS = 32768


@dataclass(frozen=True, kw_only=True)
class Gemv:
    """What one kernel computes: out = finish(W (x * gain) * rsqrt(mean(x^2) + epsilon))."""

    rows: int
    """Length of the result (half of the weight's rows where ``gated``)."""
    columns: int
    quantized: bool
    epsilon: float | None = None
    """Of the RMSNorm before the product; None: no norm."""
    offset: float = 0.0
    """What is added to the norm's gains."""
    gated: bool = False
    """The result is activation(first half) * second half."""
    activation: str = "silu"
    bias: bool = False
    residual: bool = False
    cap: float | None = None
    """The result is cap * tanh(result / cap)."""
    dtype: str
    """Type of the result."""
    inputs: str | None = None
    """Type of x and residual; the format's when None. The others are as they are stored."""


def gemv(plan: Gemv, quant: QuantConf, threads: Threads) -> Any:
    """Return the kernel: x [1, 1, K], gain, weight, scales, bias, residual -> out [1, 1, N].

    The signature is the same for every plan; what a plan does not use is never read.
    """
    rows, columns, dtype = plan.rows, plan.columns, quant.dtype
    x_dtype = plan.inputs or dtype
    has_norm, gated, quantized = plan.epsilon is not None, plan.gated, plan.quantized
    has_bias, has_residual, out_dtype = plan.bias, plan.residual, plan.dtype
    epsilon, offset = plan.epsilon or 0.0, plan.offset
    activation, cap = plan.activation, plan.cap
    halves = 2 if gated else 1
    per_thread = 4 if rows >= MANY_ROWS else 2
    sums = per_thread * halves
    block_rows = LANE_GROUPS * per_thread
    blocks = -(-rows // block_rows)
    form, group = Format(quant), quant.group_size
    unit = form.codes_per_word if quantized else PLAIN_UNIT
    lanes = MANY_LANES if columns > unit * LANES * MANY_TURNS else LANES
    turns = -(-columns // (unit * lanes))
    words = -(-columns // group) * group // unit
    groups = form.num_groups(columns)
    width = lanes * LANE_GROUPS
    bind, shared = threads.bind, threads.shared

    @T.prim_func(s_tir=True, private=True)
    def gemv(
        var_x: T.handle,
        var_gain: T.handle,
        var_weight: T.handle,
        var_scales: T.handle,
        var_bias: T.handle,
        var_residual: T.handle,
        var_out: T.handle,
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        x = T.match_buffer(var_x, (1, 1, columns), x_dtype)
        if has_norm:
            gain = T.match_buffer(var_gain, (columns,), dtype)
        if quantized:
            codes = T.match_buffer(var_weight, (rows * halves, words), "uint32")
            scales = T.match_buffer(var_scales, (rows * halves, groups), dtype)
        else:
            weight = T.match_buffer(var_weight, (rows * halves, columns), dtype)
        if has_bias:
            bias = T.match_buffer(var_bias, (rows,), dtype)
        if has_residual:
            residual = T.match_buffer(var_residual, (1, 1, rows), x_dtype)
        out = T.match_buffer(var_out, (1, 1, rows), out_dtype)
        for bx in bind(blocks, thread="blockIdx.x"):
            with T.sblock("block"):
                b = T.axis.spatial(blocks, bx)
                partial = T.sblock_alloc_buffer(
                    (LANE_GROUPS * sums, lanes), "float32", scope=shared
                )
                squares = T.sblock_alloc_buffer((LANE_GROUPS, lanes), "float32", scope=shared)
                for tx in bind(width, thread="threadIdx.x"):
                    with T.sblock("parts"):
                        t = T.axis.spatial(width, tx)
                        value = T.sblock_alloc_buffer((unit,), "float32", scope="local")
                        part = T.sblock_alloc_buffer((sums,), "float32", scope="local")
                        square = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        dot = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        word = T.sblock_alloc_buffer((1,), "uint32", scope="local")
                        for r in T.unroll(sums):
                            part[r] = T.float32(0)
                        square[0] = T.float32(0)
                        for c in T.serial(turns):
                            for j in T.unroll(unit):
                                k: T.let[T.int32] = (
                                    (c * lanes + t % lanes) * unit + j
                                    if quantized
                                    else (c * unit + j) * lanes + t % lanes
                                )
                                value[j] = T.if_then_else(
                                    k < columns, T.Cast("float32", x[0, 0, k]), T.float32(0)
                                )
                                if has_norm:
                                    square[0] += value[j] * value[j]
                                    value[j] = value[j] * T.if_then_else(
                                        k < columns,
                                        T.Cast("float32", gain[k]) + T.float32(offset),
                                        T.float32(0),
                                    )
                            for r in T.unroll(sums):
                                row: T.let[T.int32] = (
                                    T.min(
                                        b * block_rows + t // lanes * per_thread + r % per_thread,
                                        rows - 1,
                                    )
                                    + r // per_thread * rows
                                )
                                dot[0] = T.float32(0)
                                if quantized:
                                    place: T.let[T.int32] = T.min(c * lanes + t % lanes, words - 1)
                                    word[0] = codes[row, place]
                                    for j in T.unroll(unit):
                                        dot[0] += value[j] * centred(word[0], j, form)
                                    part[r] += dot[0] * T.Cast(
                                        "float32", scales[row, place * unit // group]
                                    )
                                else:
                                    for j in T.unroll(unit):
                                        i: T.let[T.int32] = T.min(
                                            (c * unit + j) * lanes + t % lanes, columns - 1
                                        )
                                        dot[0] += value[j] * T.Cast("float32", weight[row, i])
                                    part[r] += dot[0]
                        for r in T.unroll(sums):
                            partial[t // lanes * sums + r, t % lanes] = part[r]
                        squares[t // lanes, t % lanes] = square[0]
                for tx in bind(width, thread="threadIdx.x"):
                    with T.sblock("finish"):
                        t = T.axis.spatial(width, tx)
                        total = T.sblock_alloc_buffer((2,), "float32", scope="local")
                        norm = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        total[0] = T.float32(0)
                        total[1] = T.float32(0)
                        norm[0] = T.float32(0)
                        if t % lanes < per_thread:
                            for lane in T.serial(lanes):
                                total[0] += partial[t // lanes * sums + t % lanes, lane]
                                if gated:
                                    total[1] += partial[
                                        t // lanes * sums + per_thread + t % lanes, lane
                                    ]
                                if has_norm:
                                    norm[0] += squares[t // lanes, lane]
                            if has_norm:
                                norm[0] = T.rsqrt(norm[0] / T.float32(columns) + T.float32(epsilon))
                                total[0] = total[0] * norm[0]
                                total[1] = total[1] * norm[0]
                            at: T.let[T.int32] = (
                                b * block_rows + t // lanes * per_thread + t % lanes
                            )
                            if at < rows:
                                if has_bias:
                                    total[0] += T.Cast("float32", bias[at])
                                if gated:
                                    total[0] = activated(total[0], activation) * total[1]
                                if has_residual:
                                    total[0] += T.Cast("float32", residual[0, 0, at])
                                if cap is not None:
                                    total[0] = soft_capped(total[0], cap)
                                out[0, 0, at] = T.Cast(out_dtype, total[0])

    return gemv
