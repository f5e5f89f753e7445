"""Own the rotary kernels: splitting with rotation, and norm with rotation of single heads.

TVM's own rotation raises a power per element, does not lower llama3's scaling and cannot be parsed
for longrope. These read frequencies from a table. Rotation is of halves: element i of the rotated
part pairs with element i + r / 2. Emit no Relax.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# Lambdas in a kernel are called as it is read, before its loops go on.
# ruff: noqa: N812, ARG001, B023, C901, F841
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script import tirx as T

from webslm.compiler.kernels.angles import sine_and_cosine
from webslm.compiler.kernels.threads import Threads
from webslm.model.architectures.rope import RopeTable

LANES = 32


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The heads of a fused row: queries, keys, values."""

    heads: int
    kv_heads: int
    dim: int
    dtype: str

    @property
    def fused(self) -> int:
        """Return how many heads a row has."""
        return self.heads + 2 * self.kv_heads


def split_rotated(plan: Heads, table: RopeTable) -> Any:
    """Return the cache's split: qkv [n, h + 2 hkv, d], positions, q, k, v, frequencies.

    The runtime passes its sixth argument as it was given to the cache; where that is a tensor,
    rotation is not optional.
    """
    heads, kv_heads, fused, dim, dtype = plan.heads, plan.kv_heads, plan.fused, plan.dim, plan.dtype
    rows, half = table.frequencies.shape

    @T.prim_func(s_tir=True)
    def rope(
        var_qkv: T.handle,
        var_positions: T.handle,
        var_q: T.handle,
        var_k: T.handle,
        var_v: T.handle,
        frequencies: T.Buffer((rows, half), "float32"),
    ) -> None:
        T.func_attr({"op_pattern": 8, "tirx.noalias": True})
        n = T.int32()
        positions_at = T.int32()
        qkv = T.match_buffer(var_qkv, (n, fused, dim), dtype)
        positions = T.match_buffer(var_positions, (n,), "int32", elem_offset=positions_at)
        q = T.match_buffer(var_q, (n, heads, dim), dtype)
        k = T.match_buffer(var_k, (n, kv_heads, dim), dtype)
        v = T.match_buffer(var_v, (n, kv_heads, dim), dtype)
        for iters in T.grid(n, fused, dim):
            with T.sblock("rope"):
                s, h, d = T.axis.remap("SSS", iters)
                if h < heads:
                    q[s, h, d] = _turned(
                        lambda c: qkv[s, h, c], d, positions[s], frequencies, table, dtype
                    )
                elif h < heads + kv_heads:
                    k[s, h - heads, d] = _turned(
                        lambda c: qkv[s, h, c], d, positions[s], frequencies, table, dtype
                    )
                else:
                    v[s, h - heads - kv_heads, d] = qkv[s, h, d]

    return rope


def split(plan: Heads) -> Any:
    """Return the cache's split of rows that are rotated already; its last argument says so."""
    heads, kv_heads, fused, dim, dtype = plan.heads, plan.kv_heads, plan.fused, plan.dim, plan.dtype

    @T.prim_func(s_tir=True)
    def split_heads(
        var_qkv: T.handle,
        var_positions: T.handle,
        var_q: T.handle,
        var_k: T.handle,
        var_v: T.handle,
        apply_rope: T.int64,
    ) -> None:
        T.func_attr({"op_pattern": 8, "tirx.noalias": True})
        n = T.int32()
        positions_at = T.int32()
        qkv = T.match_buffer(var_qkv, (n, fused, dim), dtype)
        positions = T.match_buffer(var_positions, (n,), "int32", elem_offset=positions_at)
        q = T.match_buffer(var_q, (n, heads, dim), dtype)
        k = T.match_buffer(var_k, (n, kv_heads, dim), dtype)
        v = T.match_buffer(var_v, (n, kv_heads, dim), dtype)
        for iters in T.grid(n, fused, dim):
            with T.sblock("split"):
                s, h, d = T.axis.remap("SSS", iters)
                if h < heads:
                    q[s, h, d] = qkv[s, h, d]
                elif h < heads + kv_heads:
                    k[s, h - heads, d] = qkv[s, h, d]
                else:
                    v[s, h - heads - kv_heads, d] = qkv[s, h, d]

    return split_heads


def normed_rotated(
    plan: Heads,
    table: RopeTable,
    *,
    epsilon: float,
    offset: float,
    threads: Threads,
    gains: str | None = None,
) -> Any:
    """Return the kernel that normalises each query and key head by its root mean square, rotates.

    Args:
        plan: The heads.
        table: The layer's frequencies.
        epsilon: Of the norm.
        offset: What is added to the gains.
        threads: How blocks run.
        gains: Type of the gains; that of the heads when None.

    Returns:
        qkv [n, h + 2 hkv, d], gains of queries and keys [d], positions int32 [n], frequencies ->
        rows of the same shape; values are copied.
    """
    heads, kv_heads, fused, dim, dtype = plan.heads, plan.kv_heads, plan.fused, plan.dim, plan.dtype
    rows, half = table.frequencies.shape
    bind, shared = threads.bind, threads.shared
    turns = -(-dim // LANES)
    gain_dtype = gains or dtype

    @T.prim_func(s_tir=True, private=True)
    def head_norm_rope(
        var_qkv: T.handle,
        q_gain: T.Buffer((dim,), gain_dtype),
        k_gain: T.Buffer((dim,), gain_dtype),
        var_positions: T.handle,
        frequencies: T.Buffer((rows, half), "float32"),
        var_out: T.handle,
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        n = T.int64()
        positions_at = T.int64()
        qkv = T.match_buffer(var_qkv, (n, fused, dim), dtype)
        positions = T.match_buffer(var_positions, (n,), "int32", elem_offset=positions_at)
        out = T.match_buffer(var_out, (n, fused, dim), dtype)
        for bx in bind(n * fused, thread="blockIdx.x"):
            with T.sblock("head"):
                b = T.axis.spatial(n * fused, bx)
                T.reads()
                T.writes()
                squares = T.sblock_alloc_buffer((LANES,), "float32", scope=shared)
                normed = T.sblock_alloc_buffer((dim,), "float32", scope=shared)
                for t in bind(LANES, thread="threadIdx.x"):
                    with T.sblock("squares"):
                        T.reads()
                        T.writes()
                        part = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        part[0] = T.float32(0)
                        for i in T.serial(turns):
                            if i * LANES + t < dim:
                                part[0] += T.Cast(
                                    "float32", qkv[b // fused, b % fused, i * LANES + t]
                                ) * T.Cast("float32", qkv[b // fused, b % fused, i * LANES + t])
                        squares[t] = part[0]
                for t in bind(LANES, thread="threadIdx.x"):
                    with T.sblock("normed"):
                        T.reads()
                        T.writes()
                        total = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        total[0] = T.float32(0)
                        for i in T.serial(LANES):
                            total[0] += squares[i]
                        total[0] = T.rsqrt(total[0] / T.float32(dim) + T.float32(epsilon))
                        for i in T.serial(turns):
                            if i * LANES + t < dim:
                                # Rounded as a norm of its own would be.
                                normed[i * LANES + t] = T.Cast(
                                    "float32", qkv[b // fused, b % fused, i * LANES + t]
                                ) * (
                                    total[0]
                                    * (
                                        T.Cast(
                                            "float32",
                                            T.if_then_else(
                                                b % fused < heads,
                                                q_gain[i * LANES + t],
                                                k_gain[i * LANES + t],
                                            ),
                                        )
                                        + T.float32(offset)
                                    )
                                )
                for t in bind(LANES, thread="threadIdx.x"):
                    with T.sblock("rotated"):
                        T.reads()
                        T.writes()
                        for i in T.serial(turns):
                            if i * LANES + t < dim:
                                if b % fused < heads + kv_heads:
                                    out[b // fused, b % fused, i * LANES + t] = _turned(
                                        lambda c: normed[c],
                                        i * LANES + t,
                                        positions[b // fused],
                                        frequencies,
                                        table,
                                        dtype,
                                    )
                                else:
                                    out[b // fused, b % fused, i * LANES + t] = qkv[
                                        b // fused, b % fused, i * LANES + t
                                    ]

    return head_norm_rope


def _turned(
    value: Any, d: Any, position: Any, frequencies: Any, table: RopeTable, dtype: str
) -> Any:
    """Return element d of the head whose elements are ``value``, rotated to a position."""
    half = int(table.frequencies.shape[1])
    single = table.frequencies.shape[0] == 1
    row = 0 if single else tirx.Select(position >= table.switch, 1, 0)
    angle = tirx.Cast("float32", position) * frequencies[row, d % half]
    sign = tirx.Select(d < half, tirx.const(-1.0, "float32"), tirx.const(1.0, "float32"))
    own = value(d).astype("float32")
    other = value((d + half) % (2 * half)).astype("float32")
    sine, cosine = sine_and_cosine(angle)
    turned = own * cosine + sign * other * sine
    if table.amplitude != 1.0:
        turned = turned * tirx.const(table.amplitude, "float32")
    return tirx.if_then_else(d < 2 * half, turned.astype(dtype), value(d).astype(dtype))
