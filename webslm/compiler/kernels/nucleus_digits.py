"""Own one digit of a nucleus's key: what lies above each of its values. Emit no Relax."""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator, no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.nucleus import PER_THREAD, THREADS, TILE
from webslm.compiler.kernels.nucleus_key import (
    BUSY,
    DIGIT_BITS,
    DIGITS,
    HIGH,
    LANES,
    LOW,
    RHO,
    TAU,
    VALUE_LEVELS,
    levels_of_ids,
)


def digits_of(vocab_size: int, bind: Callable[..., Any]) -> Any:
    """Return the macro that sums for each digit of a level what lies above the key with it."""
    id_levels = levels_of_ids(vocab_size)
    last_id, levels = (1 << (id_levels * DIGIT_BITS)) - 1, VALUE_LEVELS + id_levels

    @T.macro
    def digits(
        key: T.Buffer,
        counts: T.Buffer,
        tile_list: T.Buffer,
        probabilities: T.Buffer,
        own_mass: T.Buffer,
        level,
    ) -> None:
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
                count[0] = counts[BUSY]
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
                            if bits[0] >= now[LOW] and bits[0] < now[HIGH]:
                                for d in T.unroll(DIGITS):
                                    if bits[0] > now[TAU] + (d + 1) * step[0] or (
                                        bits[0] == now[TAU] + (d + 1) * step[0]
                                        and rest[0] >= now[RHO] + (d + 1) * step[1]
                                    ):
                                        sums[d] += value[0]
                                if bits[0] == now[TAU]:
                                    sums[DIGITS] += T.float32(1)
                for d in T.unroll(DIGITS + 1):
                    own_mass[d, t] = sums[d]

    return digits


def fold_of(bind: Callable[..., Any]) -> Any:
    """Return the macro that adds up what the threads summed, in lanes."""

    @T.macro
    def fold(own_mass: T.Buffer, folded: T.Buffer) -> None:
        for tx in bind(THREADS, thread="threadIdx.x"):
            with T.sblock("fold"):
                t = T.axis.spatial(THREADS, tx)
                own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                if t < (DIGITS + 1) * LANES:
                    own[0] = T.float32(0)
                    for e in T.serial(THREADS // LANES):
                        own[0] += own_mass[t // LANES, (t % LANES) * (THREADS // LANES) + e]
                    folded[t // LANES, t % LANES] = own[0]

    return fold


def digit_of(vocab_size: int, bind: Callable[..., Any]) -> Any:
    """Return the macro that appends the digit of a level to the key."""
    id_levels = levels_of_ids(vocab_size)
    levels = VALUE_LEVELS + id_levels

    @T.macro
    def digit(
        folded: T.Buffer, above: T.Buffer, top_p: T.Buffer, key: T.Buffer, counts: T.Buffer, level
    ) -> None:
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
                        key[TAU] = key[TAU] + T.shift_left(
                            digit[0], T.max(DIGIT_BITS * (VALUE_LEVELS - 1 - v), 0)
                        )
                    else:
                        key[RHO] = key[RHO] + T.shift_left(
                            digit[0],
                            DIGIT_BITS * T.min(levels - 1 - v, id_levels - 1),
                        )
                        if equal[0] < T.float32(2):
                            # No two tokens to tell apart by their ids.
                            counts[BUSY] = 0

    return digit
