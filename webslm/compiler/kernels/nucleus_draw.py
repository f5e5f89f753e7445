"""Own the second kernel of a choice without a sort: the nucleus, and a token of it. Emit no Relax.

``nucleus`` says how. The tokens are taken thread by thread, not in the order of their ids: whatever
the order, each has its share of the uniform number's range.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.nucleus import (
    BUCKETS,
    COLUMNS,
    MANTISSA_BITS,
    ONE_EXPONENT,
    PEAK,
    PER_THREAD,
    SLICES,
    THREADS,
    TILE,
    num_tiles,
)
from webslm.compiler.kernels.threads import Threads

DIGIT_BITS = 4
DIGITS = (1 << DIGIT_BITS) - 1
"""Digits above zero, each tried at once."""
VALUE_LEVELS = -(-MANTISSA_BITS // DIGIT_BITS)
LANES = 16
HIGHEST = 0x7FFFFFFF


def draw(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: probabilities, their masses, uniform, top_p -> the token id [1].

    The token is -1 when no probability is above zero: web-llm then says that it found none.
    """
    tiles = num_tiles(vocab_size)
    id_levels = -(-max(1, (vocab_size - 1).bit_length()) // DIGIT_BITS)
    last_id = (1 << (id_levels * DIGIT_BITS)) - 1
    levels = VALUE_LEVELS + id_levels
    tau, rho, low, high = range(4)
    busy, listed = range(2)

    bind, shared = threads.bind, threads.shared

    @T.prim_func(s_tir=True, private=True)
    def nucleus_draw(
        probabilities: T.Buffer((1, vocab_size), "float32"),
        found: T.Buffer((tiles, COLUMNS), "float32"),
        uniform: T.Buffer((1,), "float32"),
        top_p: T.Buffer((1,), "float32"),
        token: T.Buffer((1,), "int32"),
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        for _block in bind(1, thread="blockIdx.x"):
            with T.sblock("row"):
                # Said outright: TVM cannot infer what a walk with data for bounds touches.
                T.reads(
                    probabilities[0, 0:vocab_size],
                    found[0:tiles, 0:COLUMNS],
                    uniform[0],
                    top_p[0],
                )
                T.writes(token[0])
                # The key: bits of the probability (tau) and how far the id is from the last one
                # (rho); the bits of the bucket that it lies in.
                key = T.sblock_alloc_buffer((4,), "int32", scope=shared)
                # Tiles to search for digits (busy), and all that do not lie below the bucket.
                counts = T.sblock_alloc_buffer((2,), "int32", scope=shared)
                tile_list = T.sblock_alloc_buffer((tiles,), "int32", scope=shared)
                above = T.sblock_alloc_buffer((1,), "float32", scope=shared)
                slices = T.sblock_alloc_buffer((SLICES, BUCKETS), "float32", scope=shared)
                own_mass = T.sblock_alloc_buffer((DIGITS + 1, THREADS), "float32", scope=shared)
                folded = T.sblock_alloc_buffer((DIGITS + 1, LANES), "float32", scope=shared)
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("totals"):
                        t = T.axis.spatial(THREADS, tx)
                        own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        own[0] = T.float32(0)
                        for s in T.serial(-(-tiles // SLICES)):
                            if s * SLICES + t // BUCKETS < tiles:
                                own[0] += found[s * SLICES + t // BUCKETS, t % BUCKETS]
                        slices[t // BUCKETS, t % BUCKETS] = own[0]
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
                            key[rho] = 0
                            if bucket[0] < BUCKETS - 1:
                                start[0] = T.shift_left(ONE_EXPONENT - bucket[0], MANTISSA_BITS)
                                key[tau] = start[0]
                                key[low] = start[0]
                                key[high] = start[0] + T.shift_left(1, MANTISSA_BITS)
                            else:
                                # Everything belongs to the nucleus, and no digit is looked for.
                                key[tau] = 0
                                key[low] = HIGHEST
                                key[high] = HIGHEST
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
                                if T.reinterpret("int32", found[s, PEAK]) >= now[tau]:
                                    total[0] += 1
                                    if s < own:
                                        before[0] += 1
                            peak[0] = found[T.min(own, tiles - 1), PEAK]
                            if own < tiles and T.reinterpret("int32", peak[0]) >= now[tau]:
                                tile_list[before[0]] = own
                            if t == 0:
                                counts[listed] = total[0]
                                counts[busy] = T.if_then_else(now[low] == HIGHEST, 0, total[0])
                for level in T.serial(levels):
                    for tx in bind(THREADS, thread="threadIdx.x"):
                        with T.sblock("digits"):
                            t, v = T.axis.remap("SS", [tx, level])
                            sums = T.sblock_alloc_buffer((DIGITS + 1,), "float32", scope="local")
                            value = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            bits = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            rest = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            first = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            count = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            step = T.sblock_alloc_buffer((2,), "int32", scope="local")
                            now = T.sblock_alloc_buffer((4,), "int32", scope="local")
                            for k in T.unroll(4):
                                now[k] = key[k]
                            count[0] = counts[busy]
                            step[0] = T.if_then_else(
                                v < VALUE_LEVELS,
                                T.shift_left(1, T.max(DIGIT_BITS * (VALUE_LEVELS - 1 - v), 0)),
                                0,
                            )
                            step[1] = T.if_then_else(
                                v < VALUE_LEVELS,
                                0,
                                T.shift_left(1, DIGIT_BITS * T.min(levels - 1 - v, id_levels - 1)),
                            )
                            for d in T.unroll(DIGITS + 1):
                                sums[d] = T.float32(0)
                            for s in T.serial(count[0]):
                                first[0] = tile_list[s] * TILE + t
                                for e in T.serial(PER_THREAD):
                                    i: T.let[T.int32] = first[0] + e * THREADS
                                    if i < vocab_size:
                                        value[0] = probabilities[0, i]
                                        bits[0] = T.reinterpret("int32", value[0])
                                        rest[0] = last_id - i
                                        if bits[0] >= now[low] and bits[0] < now[high]:
                                            for d in T.unroll(DIGITS):
                                                if bits[0] > now[tau] + (d + 1) * step[0] or (
                                                    bits[0] == now[tau] + (d + 1) * step[0]
                                                    and rest[0] >= now[rho] + (d + 1) * step[1]
                                                ):
                                                    sums[d] += value[0]
                                            if bits[0] == now[tau]:
                                                sums[DIGITS] += T.float32(1)
                            for d in T.unroll(DIGITS + 1):
                                own_mass[d, t] = sums[d]
                    for tx in bind(THREADS, thread="threadIdx.x"):
                        with T.sblock("fold"):
                            t = T.axis.spatial(THREADS, tx)
                            own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            if t < (DIGITS + 1) * LANES:
                                own[0] = T.float32(0)
                                for e in T.serial(THREADS // LANES):
                                    own[0] += own_mass[
                                        t // LANES, (t % LANES) * (THREADS // LANES) + e
                                    ]
                                folded[t // LANES, t % LANES] = own[0]
                    for tx in bind(THREADS, thread="threadIdx.x"):
                        with T.sblock("digit"):
                            t, v = T.axis.remap("SS", [tx, level])
                            mass = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            digit = T.sblock_alloc_buffer((1,), "int32", scope="local")
                            equal = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            if t == 0:
                                equal[0] = T.float32(0)
                                for e in T.serial(LANES):
                                    equal[0] += folded[DIGITS, e]
                                digit[0] = 0
                                for d in T.serial(DIGITS):
                                    mass[0] = above[0]
                                    for e in T.serial(LANES):
                                        mass[0] += folded[d, e]
                                    if mass[0] >= top_p[0]:
                                        digit[0] = d + 1
                                if v < VALUE_LEVELS:
                                    key[tau] = key[tau] + T.shift_left(
                                        digit[0], T.max(DIGIT_BITS * (VALUE_LEVELS - 1 - v), 0)
                                    )
                                else:
                                    key[rho] = key[rho] + T.shift_left(
                                        digit[0],
                                        DIGIT_BITS * T.min(levels - 1 - v, id_levels - 1),
                                    )
                                    if equal[0] < T.float32(2):
                                        # No two tokens to tell apart by their ids.
                                        counts[busy] = 0
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("shares"):
                        t = T.axis.spatial(THREADS, tx)
                        own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        bits = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        now = T.sblock_alloc_buffer((2,), "int32", scope="local")
                        count = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        first = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        own[0] = T.float32(0)
                        for k in T.unroll(2):
                            now[k] = key[k]
                        count[0] = counts[listed]
                        for s in T.serial(count[0]):
                            first[0] = tile_list[s] * TILE + t
                            for e in T.serial(PER_THREAD):
                                i: T.let[T.int32] = first[0] + e * THREADS
                                if i < vocab_size:
                                    bits[0] = T.reinterpret("int32", probabilities[0, i])
                                    if bits[0] > now[tau] or (
                                        bits[0] == now[tau] and last_id - i >= now[rho]
                                    ):
                                        own[0] += probabilities[0, i]
                        own_mass[0, t] = own[0]
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("walk"):
                        t = T.axis.spatial(THREADS, tx)
                        goal = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        before = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        thread = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        share = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        now = T.sblock_alloc_buffer((2,), "int32", scope="local")
                        count = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        first = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        last = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        done = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        bits = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        if t == 0:
                            for k in T.unroll(2):
                                now[k] = key[k]
                            count[0] = counts[listed]
                            goal[0] = T.float32(0)
                            for k in T.serial(THREADS):
                                goal[0] += own_mass[0, k]
                            goal[0] = goal[0] * uniform[0]
                            before[0] = T.float32(0)
                            thread[0] = -1
                            last[0] = 0
                            for k in T.serial(THREADS):
                                share[0] = own_mass[0, k]
                                if thread[0] < 0 and share[0] > T.float32(0):
                                    # The last thread with a share, should rounding miss the goal.
                                    last[0] = k
                                    if before[0] + share[0] > goal[0]:
                                        thread[0] = k
                                    else:
                                        before[0] += share[0]
                            if thread[0] < 0:
                                thread[0] = last[0]
                            token[0] = -1
                            done[0] = 0
                            for s in T.serial(count[0]):
                                first[0] = tile_list[s] * TILE + thread[0]
                                if done[0] == 0:
                                    for e in T.serial(PER_THREAD):
                                        i: T.let[T.int32] = first[0] + e * THREADS
                                        if done[0] == 0 and i < vocab_size:
                                            bits[0] = T.reinterpret("int32", probabilities[0, i])
                                            # False for what is no number, too.
                                            if probabilities[0, i] > T.float32(0) and (
                                                bits[0] > now[tau]
                                                or (bits[0] == now[tau] and last_id - i >= now[rho])
                                            ):
                                                before[0] += probabilities[0, i]
                                                token[0] = i
                                                if before[0] > goal[0]:
                                                    done[0] = 1

    return nucleus_draw
