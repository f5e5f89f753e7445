"""Own the choice of a token from probabilities, without a sort. Emit no Relax.

The nucleus is the least set of likeliest tokens whose mass reaches top_p (of equal ones the lower
ids; the whole row if none does), and a token is drawn from it by its share. Neither needs an order:
the nucleus is all that lies at or above one key (probability, then id), and that key is found digit
by digit from masses. Positive floats order as their bits do; a probability's exponent is the first
digit, and its masses per tile of the vocabulary come from all blocks; the rest is one block's work,
which looks at tiles that can matter only.
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
PER_THREAD = TILE // THREADS
BUCKETS = 64
"""By exponent: [1, 2), [1/2, 1), ...; the last one holds all that is below 2^-62."""
PEAK = BUCKETS
"""Column of a tile's largest probability, behind its masses."""
COLUMNS = BUCKETS + 1
SLICES = THREADS // BUCKETS
ONE_EXPONENT = 127
MANTISSA_BITS = 23


def num_tiles(vocab_size: int) -> int:
    """Return the tiles of a vocabulary."""
    return -(-vocab_size // TILE)


def masses(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: probabilities -> for each tile its mass by exponent, and its peak."""
    tiles = num_tiles(vocab_size)

    bind, shared = threads.bind, threads.shared

    @T.prim_func(s_tir=True, private=True)
    def nucleus_masses(
        probabilities: T.Buffer((1, vocab_size), "float32"),
        found: T.Buffer((tiles, COLUMNS), "float32"),
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        for bx in bind(tiles, thread="blockIdx.x"):
            with T.sblock("tile"):
                tile = T.axis.spatial(tiles, bx)
                value = T.sblock_alloc_buffer((TILE,), "float32", scope=shared)
                bucket = T.sblock_alloc_buffer((TILE,), "int32", scope=shared)
                peak = T.sblock_alloc_buffer((THREADS,), "float32", scope=shared)
                slices = T.sblock_alloc_buffer((SLICES, BUCKETS), "float32", scope=shared)
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("load"):
                        t = T.axis.spatial(THREADS, tx)
                        own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        exponent = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        highest = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        highest[0] = T.float32(0)
                        for e in T.serial(PER_THREAD):
                            i: T.let[T.int32] = e * THREADS + t
                            own[0] = T.if_then_else(
                                tile * TILE + i < vocab_size,
                                probabilities[0, tile * TILE + i],
                                T.float32(0),
                            )
                            exponent[0] = T.shift_right(
                                T.reinterpret("int32", own[0]), MANTISSA_BITS
                            )
                            value[i] = own[0]
                            bucket[i] = T.max(T.min(ONE_EXPONENT - exponent[0], BUCKETS - 1), 0)
                            highest[0] = T.max(highest[0], own[0])
                        peak[t] = highest[0]
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("sum"):
                        t = T.axis.spatial(THREADS, tx)
                        own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        own[0] = T.float32(0)
                        first: T.let[T.int32] = (t // BUCKETS) * (TILE // SLICES)
                        for e in T.serial(TILE // SLICES):
                            own[0] += T.if_then_else(
                                bucket[first + e] == t % BUCKETS, value[first + e], T.float32(0)
                            )
                        slices[t // BUCKETS, t % BUCKETS] = own[0]
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("store"):
                        t = T.axis.spatial(THREADS, tx)
                        own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        own[0] = T.float32(0)
                        if t < BUCKETS:
                            for s in T.serial(SLICES):
                                own[0] += slices[s, t]
                            found[tile, t] = own[0]
                        if t == PEAK:
                            for s in T.serial(THREADS):
                                own[0] = T.max(own[0], peak[s])
                            found[tile, PEAK] = own[0]

    return nucleus_masses
