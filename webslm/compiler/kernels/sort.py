"""Own the sort of probabilities, highest first: tiles in shared memory, then merges. Emit no Relax.

TVM's own sort binds ``blockIdx.z``, which WebGPU does not have. Here an element finds its place in
the merged run by counting, with binary searches, the elements of the sibling runs that precede it:
no element waits for another. Equal probabilities go by token id, so the order is total and every
place is written once. Eight runs are merged at a time, since a dispatch costs more than searches.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.threads import Threads

THREADS = 256
TILE = 1024
"""Elements that one block sorts in shared memory."""
TILE_LEVELS = 10
PER_THREAD = TILE // THREADS
WAY_LEVELS = 3
WAYS = 1 << WAY_LEVELS
PADDING = -1.0
"""Stands after every probability."""


def merge_levels(vocab_size: int) -> range:
    """Return the levels of the merges in order: level l merges ``WAYS`` runs of 2^l elements."""
    return range(TILE_LEVELS, max(TILE_LEVELS, (vocab_size - 1).bit_length()), WAY_LEVELS)


def sort_tiles(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: probabilities -> probabilities and ids, sorted within each tile."""
    tiles = -(-vocab_size // TILE)

    bind, shared = threads.bind, threads.shared

    @T.prim_func(s_tir=True, private=True)
    def sort_tiles(
        probabilities: T.Buffer((1, vocab_size), "float32"),
        keys: T.Buffer((1, vocab_size), "float32"),
        ids: T.Buffer((1, vocab_size), "int32"),
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        for bx in bind(tiles, thread="blockIdx.x"):
            with T.sblock("tile"):
                tile = T.axis.spatial(tiles, bx)
                key = T.sblock_alloc_buffer((2, TILE), "float32", scope=shared)
                place = T.sblock_alloc_buffer((2, TILE), "int32", scope=shared)
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("load"):
                        t = T.axis.spatial(THREADS, tx)
                        for e in T.serial(PER_THREAD):
                            i: T.let[T.int32] = e * THREADS + t
                            key[0, i] = T.if_then_else(
                                tile * TILE + i < vocab_size,
                                probabilities[0, tile * TILE + i],
                                T.float32(PADDING),
                            )
                            place[0, i] = i
                for level in T.serial(TILE_LEVELS):
                    for tx in bind(THREADS, thread="threadIdx.x"):
                        with T.sblock("merge"):
                            t, v = T.axis.remap("SS", [tx, level])
                            low = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            high = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            mine = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            other = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            theirs = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            width = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            pair = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            sibling = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            middle = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            width[0] = T.shift_left(1, v)
                            for e in T.serial(PER_THREAD):
                                i: T.let[T.int32] = e * THREADS + t
                                pair[0] = T.shift_left(T.shift_right(i, v + 1), v + 1)
                                sibling[0] = pair[0] + width[0] - T.bitwise_and(i, width[0])
                                own[0] = key[v % 2, i]
                                mine[0] = place[v % 2, i]
                                low[0] = 0
                                high[0] = width[0]
                                for _step in T.serial(v + 1):
                                    middle[0] = T.min(
                                        T.shift_right(low[0] + high[0], 1), width[0] - 1
                                    )
                                    other[0] = key[v % 2, sibling[0] + middle[0]]
                                    theirs[0] = place[v % 2, sibling[0] + middle[0]]
                                    if low[0] < high[0]:
                                        if other[0] > own[0] or (
                                            other[0] == own[0] and theirs[0] < mine[0]
                                        ):
                                            low[0] = middle[0] + 1
                                        else:
                                            high[0] = middle[0]
                                low[0] = low[0] + pair[0] + T.bitwise_and(i, width[0] - 1)
                                key[(v + 1) % 2, low[0]] = own[0]
                                place[(v + 1) % 2, low[0]] = mine[0]
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("store"):
                        t = T.axis.spatial(THREADS, tx)
                        for e in T.serial(PER_THREAD):
                            i: T.let[T.int32] = e * THREADS + t
                            if tile * TILE + i < vocab_size:
                                keys[0, tile * TILE + i] = key[TILE_LEVELS % 2, i]
                                ids[0, tile * TILE + i] = tile * TILE + place[TILE_LEVELS % 2, i]

    return sort_tiles


def merge_runs(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: keys and ids in sorted runs of 2^level -> in runs of ``WAYS`` times that.

    A run's ids all lie below those of the next, so that ties need no ids.
    """
    blocks = -(-vocab_size // THREADS)

    bind = threads.bind

    @T.prim_func(s_tir=True, private=True)
    def merge_runs(
        keys: T.Buffer((1, vocab_size), "float32"),
        ids: T.Buffer((1, vocab_size), "int32"),
        level: T.int32,
        merged_keys: T.Buffer((1, vocab_size), "float32"),
        merged_ids: T.Buffer((1, vocab_size), "int32"),
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        for bx in bind(blocks, thread="blockIdx.x"):
            for tx in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("element"):
                    b, t = T.axis.remap("SS", [bx, tx])
                    low = T.sblock_alloc_buffer((1,), "int32", scope="local")
                    high = T.sblock_alloc_buffer((1,), "int32", scope="local")
                    own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    first = T.sblock_alloc_buffer((1,), "int32", scope="local")
                    run = T.sblock_alloc_buffer((1,), "int32", scope="local")
                    place = T.sblock_alloc_buffer((1,), "int32", scope="local")
                    middle = T.sblock_alloc_buffer((1,), "int32", scope="local")
                    i: T.let[T.int32] = b * THREADS + t
                    if i < vocab_size:
                        own[0] = keys[0, i]
                        first[0] = T.shift_left(
                            T.shift_right(i, level + WAY_LEVELS), level + WAY_LEVELS
                        )
                        run[0] = T.bitwise_and(T.shift_right(i, level), WAYS - 1)
                        place[0] = first[0] + T.bitwise_and(i, T.shift_left(1, level) - 1)
                        for other in T.serial(WAYS):
                            start: T.let[T.int32] = first[0] + T.shift_left(other, level)
                            if other != run[0] and start < vocab_size:
                                low[0] = 0
                                high[0] = T.min(T.shift_left(1, level), vocab_size - start)
                                for _step in T.serial(level + 1):
                                    if low[0] < high[0]:
                                        middle[0] = T.shift_right(low[0] + high[0], 1)
                                        if keys[0, start + middle[0]] > own[0] or (
                                            keys[0, start + middle[0]] == own[0] and other < run[0]
                                        ):
                                            low[0] = middle[0] + 1
                                        else:
                                            high[0] = middle[0]
                                place[0] += low[0]
                        merged_keys[0, place[0]] = own[0]
                        merged_ids[0, place[0]] = ids[0, i]

    return merge_runs
