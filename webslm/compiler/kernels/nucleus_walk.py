"""Own the walk through a nucleus to the token that was drawn. No Relax."""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.nucleus import PER_THREAD, THREADS, TILE
from webslm.compiler.kernels.nucleus_key import DIGIT_BITS, LISTED, RHO, TAU, levels_of_ids


def shares_of(vocab_size: int, bind: Callable[..., Any]) -> Any:
    """Return the macro that sums what each thread holds of the nucleus."""
    last_id = (1 << (levels_of_ids(vocab_size) * DIGIT_BITS)) - 1

    @T.macro
    def shares(
        key: T.Buffer,
        counts: T.Buffer,
        tile_list: T.Buffer,
        probabilities: T.Buffer,
        own_mass: T.Buffer,
    ) -> None:
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
                count[0] = counts[LISTED]
                for s in T.serial(count[0]):
                    first[0] = tile_list[s] * TILE + t
                    for e in T.serial(PER_THREAD):
                        i: T.let[T.int32] = first[0] + e * THREADS
                        if i < vocab_size:
                            bits[0] = T.reinterpret("int32", probabilities[0, i])
                            if bits[0] > now[TAU] or (
                                bits[0] == now[TAU] and last_id - i >= now[RHO]
                            ):
                                own[0] += probabilities[0, i]
                own_mass[0, t] = own[0]

    return shares


def walk_of(vocab_size: int, bind: Callable[..., Any]) -> Any:
    """Return the macro that walks to the drawn token, thread by thread and then token by token."""
    last_id = (1 << (levels_of_ids(vocab_size) * DIGIT_BITS)) - 1

    @T.macro
    def walk(
        key: T.Buffer,
        counts: T.Buffer,
        tile_list: T.Buffer,
        probabilities: T.Buffer,
        own_mass: T.Buffer,
        uniform: T.Buffer,
        token: T.Buffer,
    ) -> None:
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
                    count[0] = counts[LISTED]
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
                                        bits[0] > now[TAU]
                                        or (bits[0] == now[TAU] and last_id - i >= now[RHO])
                                    ):
                                        before[0] += probabilities[0, i]
                                        token[0] = i
                                        if before[0] > goal[0]:
                                            done[0] = 1

    return walk
