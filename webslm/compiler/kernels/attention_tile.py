"""Own the walk over tiles of keys that the attention kernels share. Emit no Relax.

A block owns the query heads of one key-value head for a tile of rows; a row is a pair of position
and head, so that no group size leaves a head out. The runtime hands kernels no layer number: a
local layer is told by a negative ``sm_scale``, whose size is the scale. Cached keys stay in place;
a window is a mask, and tiles that lie outside of it are skipped.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator, no-untyped-def, name-defined"

from __future__ import annotations

import math
from dataclasses import dataclass

from tvm.script import tirx as T

from webslm.compiler.kernels.elementwise import soft_capped
from webslm.compiler.kernels.threads import Threads

PAGE_TOKENS = 16
"""Tokens of a page; fixed in TVM's append kernel and in web-llm."""
THREADS = 128
SHARED_BYTES = 30000
"""Of the 32768 that every WebGPU device has."""
TALLEST = 16
"""Most rows of a tile."""
EVERYTHING = 1 << 30
"""A window that no context reaches."""
LOWEST = -1e30
LOG2_E = math.log2(math.e)


@dataclass(frozen=True, kw_only=True)
class Attention:
    """What the layers of a model have in common."""

    heads: int
    kv_heads: int
    dim: int
    dtype: str
    window: int | None = None
    """Newest keys, the token's own included, that a local layer sees."""
    cap: float | None = None
    """Scores become cap * tanh(score / cap)."""

    @property
    def group(self) -> int:
        """Return how many query heads share a key-value head."""
        return self.heads // self.kv_heads


def tile_sizes(plan: Attention, *, rows: int) -> tuple[int, int]:
    """Return the rows and keys of a tile that fit a workgroup's memory, at most ``rows`` rows."""
    item = 2 if plan.dtype == "float16" else 4
    for keys in (32, 16, 8, 4):
        for most in (TALLEST, 8, 4, 2, 1):
            tall = min(most, rows)
            used = tall * plan.dim * (item + 4) + keys * (plan.dim + 1) * item
            if used + tall * (2 * keys + 5) * 4 <= SHARED_BYTES and (most >= 8 or keys == 4):
                return tall, keys
    return 1, 4


class Tile:
    """The parts of the walk that all three kernels share, as TVMScript macros."""

    def __init__(self, plan: Attention, threads: Threads, *, rows: int) -> None:
        self.rows, self.keys = tile_sizes(plan, rows=rows)
        dim, group, keys, dtype = plan.dim, plan.group, self.keys, plan.dtype
        tall, cap, window = self.rows, plan.cap, plan.window or EVERYTHING
        bind = threads.bind

        @T.macro
        def load_queries(
            q: T.Buffer, q_s: T.Buffer, out_s: T.Buffer, stats: T.Buffer, n, b, g
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("load_queries"):
                    T.reads()
                    T.writes()
                    for i in T.serial(-(-tall * dim // THREADS)):
                        e: T.let[T.int32] = i * THREADS + t
                        row: T.let[T.int32] = b * tall + e // dim
                        if e < tall * dim:
                            q_s[e // dim, e % dim] = T.if_then_else(
                                row < n * group,
                                q[row // group, g * group + row % group, e % dim],
                                T.Cast(dtype, 0),
                            )
                            out_s[e // dim, e % dim] = T.float32(0)
                    if t < tall:
                        stats[t, 0] = T.float32(LOWEST)
                        stats[t, 1] = T.float32(0)

        @T.macro
        def load_ragged(rows_in: T.Buffer, kv_s: T.Buffer, tile, length, g) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("load_ragged"):
                    T.reads()
                    T.writes()
                    for i in T.serial(-(-keys * dim // THREADS)):
                        e: T.let[T.int32] = i * THREADS + t
                        key: T.let[T.int32] = tile * keys + e // dim
                        if e < keys * dim:
                            kv_s[e // dim, e % dim] = T.if_then_else(
                                key < length, rows_in[key, g, e % dim], T.Cast(dtype, 0)
                            )

        @T.macro
        def load_paged(
            pages: T.Buffer, table: T.Buffer, kv_s: T.Buffer, which, tile, length, g
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("load_paged"):
                    T.reads()
                    T.writes()
                    for i in T.serial(-(-keys * dim // THREADS)):
                        e: T.let[T.int32] = i * THREADS + t
                        key: T.let[T.int32] = tile * keys + e // dim
                        if e < keys * dim:
                            kv_s[e // dim, e % dim] = T.if_then_else(
                                key < length,
                                pages[
                                    table[key // PAGE_TOKENS],
                                    which,
                                    g,
                                    key % PAGE_TOKENS,
                                    e % dim,
                                ],
                                T.Cast(dtype, 0),
                            )

        @T.macro
        def weigh(
            q_s: T.Buffer,
            kv_s: T.Buffer,
            score: T.Buffer,
            share: T.Buffer,
            stats: T.Buffer,
            fresh: T.Buffer,
            tile,
            b,
            base,
            length,
            sm_scale,
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("scores"):
                    T.reads()
                    T.writes()
                    dot = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    for i in T.serial(-(-tall * keys // THREADS)):
                        e: T.let[T.int32] = i * THREADS + t
                        key: T.let[T.int32] = tile * keys + e % keys
                        place: T.let[T.int32] = base + (b * tall + e // keys) // group
                        if e < tall * keys:
                            dot[0] = T.float32(0)
                            for d in T.serial(dim):
                                dot[0] += T.Cast("float32", q_s[e // keys, d]) * T.Cast(
                                    "float32", kv_s[e % keys, d]
                                )
                            dot[0] = dot[0] * T.abs(sm_scale)
                            if cap is not None:
                                dot[0] = soft_capped(dot[0], cap)
                            if (
                                key < length
                                and key <= place
                                and (sm_scale > T.float32(0) or key + window > place)
                            ):
                                score[e // keys, e % keys] = dot[0] * T.float32(LOG2_E)
                            else:
                                score[e // keys, e % keys] = T.float32(LOWEST)
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("weights"):
                    T.reads()
                    T.writes()
                    peak = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    total = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    one = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    factor = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    if t < tall:
                        peak[0] = stats[t, 0]
                        for j in T.serial(keys):
                            peak[0] = T.max(peak[0], score[t, j])
                        factor[0] = T.exp2(stats[t, 0] - peak[0])
                        total[0] = stats[t, 1] * factor[0]
                        for j in T.serial(keys):
                            one[0] = T.if_then_else(
                                score[t, j] > T.float32(LOWEST / 2),
                                T.exp2(score[t, j] - peak[0]),
                                T.float32(0),
                            )
                            total[0] += one[0]
                            share[t, j] = one[0]
                        fresh[t, 0] = peak[0]
                        fresh[t, 1] = total[0]
                        fresh[t, 2] = factor[0]

        @T.macro
        def gather(
            kv_s: T.Buffer, share: T.Buffer, stats: T.Buffer, fresh: T.Buffer, out_s: T.Buffer
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("gather"):
                    T.reads()
                    T.writes()
                    part = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    for i in T.serial(-(-tall * dim // THREADS)):
                        e: T.let[T.int32] = i * THREADS + t
                        if e < tall * dim:
                            part[0] = out_s[e // dim, e % dim] * fresh[e // dim, 2]
                            for j in T.serial(keys):
                                part[0] += share[e // dim, j] * T.Cast("float32", kv_s[j, e % dim])
                            out_s[e // dim, e % dim] = part[0]
                    # Not where they were read: threads of one phase must not see each other.
                    if t < tall:
                        stats[t, 0] = fresh[t, 0]
                        stats[t, 1] = fresh[t, 1]

        @T.macro
        def finish(
            output: T.Buffer, lse: T.Buffer, out_s: T.Buffer, stats: T.Buffer, n, b, g
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("finish"):
                    T.reads()
                    T.writes()
                    for i in T.serial(-(-tall * dim // THREADS)):
                        e: T.let[T.int32] = i * THREADS + t
                        row: T.let[T.int32] = b * tall + e // dim
                        if e < tall * dim and row < n * group:
                            # A row that sees no key weighs nothing in the merge to come.
                            output[row // group, g * group + row % group, e % dim] = T.Cast(
                                dtype,
                                out_s[e // dim, e % dim]
                                / T.max(stats[e // dim, 1], T.float32(1e-30)),
                            )
                    if t < tall and b * tall + t < n * group:
                        lse[(b * tall + t) // group, g * group + (b * tall + t) % group] = (
                            T.if_then_else(
                                stats[t, 1] > T.float32(0),
                                stats[t, 0] + T.log2(T.max(stats[t, 1], T.float32(1e-30))),
                                T.float32(LOWEST),
                            )
                        )

        self.load_queries, self.load_ragged, self.load_paged = load_queries, load_ragged, load_paged
        self.weigh, self.gather, self.finish = weigh, gather, finish
