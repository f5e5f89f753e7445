"""Own the key of a nucleus: bits of a probability and an id, found digit by digit. No Relax.

``key`` holds in shared memory the bits of the probability (tau) and how far the id is from the last
one (rho), and the bits of the bucket it lies in; ``counts`` the tiles to search for digits (busy)
and all that do not lie below the bucket (listed).
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.nucleus import (
    BUCKETS,
    MANTISSA_BITS,
    ONE_EXPONENT,
    PEAK,
    SLICES,
    THREADS,
)

DIGIT_BITS = 4
DIGITS = (1 << DIGIT_BITS) - 1
"""Digits above zero, each tried at once."""
VALUE_LEVELS = -(-MANTISSA_BITS // DIGIT_BITS)
LANES = 16
HIGHEST = 0x7FFFFFFF
TAU, RHO, LOW, HIGH = range(4)
BUSY, LISTED = range(2)


def levels_of_ids(vocab_size: int) -> int:
    """Return how many digits an id has."""
    return -(-max(1, (vocab_size - 1).bit_length()) // DIGIT_BITS)


def totals_of(tiles: int, bind: Callable[..., Any]) -> Any:
    """Return the macro that adds up the masses of buckets in slices of tiles."""

    @T.macro
    def totals(found: T.Buffer, slices: T.Buffer) -> None:
        for tx in bind(THREADS, thread="threadIdx.x"):
            with T.sblock("totals"):
                t = T.axis.spatial(THREADS, tx)
                own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                own[0] = T.float32(0)
                for s in T.serial(-(-tiles // SLICES)):
                    if s * SLICES + t // BUCKETS < tiles:
                        own[0] += found[s * SLICES + t // BUCKETS, t % BUCKETS]
                slices[t // BUCKETS, t % BUCKETS] = own[0]

    return totals


def bucket_of(bind: Callable[..., Any]) -> Any:
    """Return the macro that finds the bucket where the nucleus ends, and starts the key at it."""

    @T.macro
    def bucket(slices: T.Buffer, top_p: T.Buffer, above: T.Buffer, key: T.Buffer) -> None:
        for tx in bind(THREADS, thread="threadIdx.x"):
            with T.sblock("bucket"):
                t = T.axis.spatial(THREADS, tx)
                mass = T.sblock_alloc_buffer((1,), "float32", scope="local")
                bucket = T.sblock_alloc_buffer((1,), "int32", scope="local")
                higher = T.sblock_alloc_buffer((1,), "float32", scope="local")
                start = T.sblock_alloc_buffer((1,), "int32", scope="local")
                if t == 0:
                    higher[0] = T.float32(0)
                    bucket[0] = BUCKETS
                    for b in T.serial(BUCKETS):
                        mass[0] = higher[0]
                        for s in T.serial(SLICES):
                            mass[0] += slices[s, b]
                        if bucket[0] == BUCKETS:
                            if mass[0] >= top_p[0]:
                                bucket[0] = b
                            else:
                                higher[0] = mass[0]
                    above[0] = higher[0]
                    key[RHO] = 0
                    if bucket[0] < BUCKETS - 1:
                        start[0] = T.shift_left(ONE_EXPONENT - bucket[0], MANTISSA_BITS)
                        key[TAU] = start[0]
                        key[LOW] = start[0]
                        key[HIGH] = start[0] + T.shift_left(1, MANTISSA_BITS)
                    else:
                        # Everything belongs to the nucleus, and no digit is looked for.
                        key[TAU] = 0
                        key[LOW] = HIGHEST
                        key[HIGH] = HIGHEST

    return bucket


def list_of(tiles: int, bind: Callable[..., Any]) -> Any:
    """Return the macro that lists the tiles that do not lie below the bucket."""

    @T.macro
    def list_tiles(found: T.Buffer, key: T.Buffer, tile_list: T.Buffer, counts: T.Buffer) -> None:
        for tx in bind(THREADS, thread="threadIdx.x"):
            with T.sblock("list"):
                t = T.axis.spatial(THREADS, tx)
                before = T.sblock_alloc_buffer((1,), "int32", scope="local")
                total = T.sblock_alloc_buffer((1,), "int32", scope="local")
                peak = T.sblock_alloc_buffer((1,), "float32", scope="local")
                now = T.sblock_alloc_buffer((3,), "int32", scope="local")
                # Branches on shared memory are not to TVM's liking.
                for k in T.unroll(3):
                    now[k] = key[k]
                for e in T.unroll(-(-tiles // THREADS)):
                    own: T.let[T.int32] = e * THREADS + t
                    before[0] = 0
                    total[0] = 0
                    for s in T.serial(tiles):
                        if T.reinterpret("int32", found[s, PEAK]) >= now[TAU]:
                            total[0] += 1
                            if s < own:
                                before[0] += 1
                    peak[0] = found[T.min(own, tiles - 1), PEAK]
                    if own < tiles and T.reinterpret("int32", peak[0]) >= now[TAU]:
                        tile_list[before[0]] = own
                    if t == 0:
                        counts[LISTED] = total[0]
                        counts[BUSY] = T.if_then_else(now[LOW] == HIGHEST, 0, total[0])

    return list_tiles
