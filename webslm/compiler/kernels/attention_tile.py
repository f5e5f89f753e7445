"""Own the walk over tiles of keys that the two prefill kernels share. Emit no Relax.

A block owns the query heads of one key-value head for a tile of rows; a row is a pair of position
and head, so that no group size leaves a head out. 16 x 16 threads hold a tile's products in
registers: thread (y, x) has rows y, y + 16, ... and keys, later elements of a head, x, x + 16, ...
The runtime hands kernels no layer number: a local layer is told by a negative ``sm_scale``, whose
size is the scale. Cached keys stay in place; a window is a mask, and tiles outside are skipped.
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
from webslm.compiler.metadata import PAGE_TOKENS

"""Tokens of a page; fixed in TVM's append kernel and in web-llm."""
SIDE = 16
THREADS = SIDE * SIDE
SHARED_BYTES = 32768
"""What every WebGPU device has."""
ROWS = (64, 32, 16, 8, 4)
KEYS = (32, 16, 8, 4)
PADDING = 2
"""Elements after a row of keys, so that threads with a row each read from different banks."""
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


def tile_bytes(plan: Attention, rows: int, keys: int) -> int:
    """Return the workgroup memory of a tile."""
    item = 2 if plan.dtype == "float16" else 4
    parts = THREADS // rows
    stored = (rows * plan.dim + keys * (plan.dim + PADDING)) * item
    return stored + rows * (keys + 1 + 2 * parts + 3) * 4


def tile_sizes(plan: Attention) -> tuple[int, int]:
    """Return the rows and keys of the largest tile that fits, tall before wide."""
    fitting = [
        (rows * keys, rows, keys)
        for rows in ROWS
        for keys in KEYS
        if tile_bytes(plan, rows, keys) <= SHARED_BYTES
    ]
    _, rows, keys = max(fitting)
    return rows, keys


class Tile:
    """The parts of the walk, as TVMScript macros.

    ``highest`` is each row's maximum so far, ``fresh`` the one with this tile and what sums before
    it are worth then; ``peak`` and ``mass`` are what the parts of a row found; ``acc`` and
    ``total`` are a thread's own sums.
    """

    def __init__(self, plan: Attention, threads: Threads) -> None:
        self.rows, self.keys = tile_sizes(plan)
        dim, group, keys, dtype = plan.dim, plan.group, self.keys, plan.dtype
        tall, cap, window = self.rows, plan.cap, plan.window or EVERYTHING
        self.parts = THREADS // tall
        parts = self.parts
        down, across, deep = -(-tall // SIDE), -(-keys // SIDE), -(-dim // SIDE)
        self.registers = down * deep
        # Flat, since TVM compacts what padding a shape has.
        self.kv_size, self.score_size = keys * (dim + PADDING), tall * (keys + 1)
        wide, scored = dim + PADDING, keys + 1
        per_part = -(-keys // parts)
        bind, copies = threads.bind, threads.copies(THREADS)

        @T.macro
        def load_queries(
            q: T.Buffer,
            q_s: T.Buffer,
            acc: T.Buffer,
            total: T.Buffer,
            highest: T.Buffer,
            n,
            b,
            g,
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
                    for r in T.unroll(down * deep):
                        acc[t % copies, r] = T.float32(0)
                    total[t % copies, 0] = T.float32(0)
                    if t < tall:
                        highest[t] = T.float32(LOWEST)

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
                            kv_s[e // dim * wide + e % dim] = T.if_then_else(
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
                            kv_s[e // dim * wide + e % dim] = T.if_then_else(
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
        def score(
            q_s: T.Buffer, kv_s: T.Buffer, score_s: T.Buffer, tile, b, base, length, sm_scale
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("scores"):
                    T.reads()
                    T.writes()
                    dot = T.sblock_alloc_buffer((down * across,), "float32", scope="local")
                    for i in T.unroll(down * across):
                        dot[i] = T.float32(0)
                    for d in T.serial(dim):
                        for i in T.unroll(down):
                            for j in T.unroll(across):
                                dot[i * across + j] += T.Cast(
                                    "float32", q_s[T.min(t // SIDE + i * SIDE, tall - 1), d]
                                ) * T.Cast(
                                    "float32", kv_s[T.min(t % SIDE + j * SIDE, keys - 1) * wide + d]
                                )
                    for i in T.unroll(down):
                        for j in T.unroll(across):
                            row: T.let[T.int32] = t // SIDE + i * SIDE
                            own: T.let[T.int32] = t % SIDE + j * SIDE
                            key: T.let[T.int32] = tile * keys + own
                            place: T.let[T.int32] = base + (b * tall + row) // group
                            if row < tall and own < keys:
                                dot[i * across + j] = dot[i * across + j] * T.abs(sm_scale)
                                if cap is not None:
                                    dot[i * across + j] = soft_capped(dot[i * across + j], cap)
                                if (
                                    key < length
                                    and key <= place
                                    and (sm_scale > T.float32(0) or key + window > place)
                                ):
                                    score_s[row * scored + own] = dot[i * across + j] * T.float32(
                                        LOG2_E
                                    )
                                else:
                                    score_s[row * scored + own] = T.float32(LOWEST)

        @T.macro
        def weigh(
            score_s: T.Buffer, peak: T.Buffer, mass: T.Buffer, highest: T.Buffer, fresh: T.Buffer
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("peaks"):
                    T.reads()
                    T.writes()
                    most = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    most[0] = T.float32(LOWEST)
                    for i in T.serial(per_part):
                        own: T.let[T.int32] = T.min(t // tall + i * parts, keys - 1)
                        most[0] = T.max(most[0], score_s[t % tall * scored + own])
                    peak[t % tall, t // tall] = most[0]
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("weights"):
                    T.reads()
                    T.writes()
                    most = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    total = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    one = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    most[0] = highest[t % tall]
                    for i in T.serial(parts):
                        most[0] = T.max(most[0], peak[t % tall, i])
                    total[0] = T.float32(0)
                    for i in T.serial(per_part):
                        own: T.let[T.int32] = t // tall + i * parts
                        if own < keys:
                            one[0] = T.if_then_else(
                                score_s[t % tall * scored + own] > T.float32(LOWEST / 2),
                                T.exp2(score_s[t % tall * scored + own] - most[0]),
                                T.float32(0),
                            )
                            total[0] += one[0]
                            score_s[t % tall * scored + own] = one[0]
                    mass[t % tall, t // tall] = total[0]
                    if t < tall:
                        fresh[t, 0] = most[0]
                        fresh[t, 1] = T.exp2(highest[t] - most[0])

        @T.macro
        def gather(
            kv_s: T.Buffer,
            score_s: T.Buffer,
            mass: T.Buffer,
            highest: T.Buffer,
            fresh: T.Buffer,
            acc: T.Buffer,
            total: T.Buffer,
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("gather"):
                    T.reads()
                    T.writes()
                    for i in T.unroll(down):
                        for j in T.unroll(deep):
                            acc[t % copies, i * deep + j] = (
                                acc[t % copies, i * deep + j]
                                * fresh[T.min(t // SIDE + i * SIDE, tall - 1), 1]
                            )
                    for k in T.serial(keys):
                        for i in T.unroll(down):
                            for j in T.unroll(deep):
                                acc[t % copies, i * deep + j] += score_s[
                                    T.min(t // SIDE + i * SIDE, tall - 1) * scored + k
                                ] * T.Cast(
                                    "float32", kv_s[k * wide + T.min(t % SIDE + j * SIDE, dim - 1)]
                                )
                    if t < tall:
                        total[t % copies, 0] = total[t % copies, 0] * fresh[t, 1]
                        for i in T.serial(parts):
                            total[t % copies, 0] += mass[t, i]
                        highest[t] = fresh[t, 0]

        @T.macro
        def finish(
            output: T.Buffer,
            lse: T.Buffer,
            acc: T.Buffer,
            total: T.Buffer,
            mass: T.Buffer,
            highest: T.Buffer,
            n,
            b,
            g,
        ) -> None:
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("totals"):
                    T.reads()
                    T.writes()
                    if t < tall:
                        mass[t, 0] = total[t % copies, 0]
            for t in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("finish"):
                    T.reads()
                    T.writes()
                    for i in T.unroll(down):
                        for j in T.unroll(deep):
                            own: T.let[T.int32] = t // SIDE + i * SIDE
                            d: T.let[T.int32] = t % SIDE + j * SIDE
                            row: T.let[T.int32] = b * tall + own
                            if own < tall and d < dim and row < n * group:
                                # A row that sees no key weighs nothing in the merge to come.
                                output[row // group, g * group + row % group, d] = T.Cast(
                                    dtype,
                                    acc[t % copies, i * deep + j]
                                    / T.max(mass[own, 0], T.float32(1e-30)),
                                )
                    if t < tall and b * tall + t < n * group:
                        lse[(b * tall + t) // group, g * group + (b * tall + t) % group] = (
                            T.if_then_else(
                                mass[t, 0] > T.float32(0),
                                highest[t] + T.log2(T.max(mass[t, 0], T.float32(1e-30))),
                                T.float32(LOWEST),
                            )
                        )

        self.load_queries, self.load_ragged, self.load_paged = load_queries, load_ragged, load_paged
        self.score, self.weigh, self.gather, self.finish = score, weigh, gather, finish
