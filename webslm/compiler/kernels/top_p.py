"""Own the choice of a token from sorted probabilities. Emit no Relax.

The nucleus is the shortest prefix whose mass reaches top_p (the whole row if none does). The token
is the first whose cumulative share of the nucleus exceeds the uniform number.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.threads import Threads

THREADS = 256


def segment_size(vocab_size: int) -> int:
    """Return the consecutive elements that one thread sums."""
    return -(-vocab_size // THREADS)


def choose(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: sorted probabilities, ids, uniform, row, top_p -> the token id [1].

    One block: each thread sums a segment; one thread then walks segments, and the elements of two
    of them, to find the nucleus and the token. Row is always 0: a library serves one sequence.
    """
    segment = segment_size(vocab_size)

    bind, shared = threads.bind, threads.shared

    @T.prim_func(s_tir=True, private=True)
    def choose_token(
        probabilities: T.Buffer((1, vocab_size), "float32"),
        ids: T.Buffer((1, vocab_size), "int32"),
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
                    ids[0, 0:vocab_size],
                    uniform[0],
                    top_p[0],
                )
                T.writes(token[0])
                sums = T.sblock_alloc_buffer((THREADS,), "float32", scope=shared)
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("segment"):
                        t = T.axis.spatial(THREADS, tx)
                        own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        own[0] = T.float32(0)
                        for e in T.serial(segment):
                            if t * segment + e < vocab_size:
                                own[0] += probabilities[0, t * segment + e]
                        sums[t] = own[0]
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("walk"):
                        t = T.axis.spatial(THREADS, tx)
                        before = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        start = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        mass = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        last = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        found = T.sblock_alloc_buffer((1,), "int32", scope="local")
                        goal = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        if t == 0:
                            # The nucleus: its last element and its mass.
                            before[0] = T.float32(0)
                            start[0] = -1
                            for s in T.serial(THREADS):
                                if start[0] < 0:
                                    mass[0] = before[0] + sums[s]
                                    if mass[0] >= top_p[0]:
                                        start[0] = s * segment
                                    else:
                                        before[0] = mass[0]
                            last[0] = vocab_size - 1
                            found[0] = T.if_then_else(start[0] < 0, 1, 0)
                            mass[0] = before[0]
                            for e in T.serial(segment):
                                if found[0] == 0 and start[0] + e < vocab_size:
                                    mass[0] += probabilities[0, start[0] + e]
                                    last[0] = start[0] + e
                                    if mass[0] >= top_p[0]:
                                        found[0] = 1
                            # The token: the same walk towards its share of the mass.
                            goal[0] = uniform[0] * mass[0]
                            before[0] = T.float32(0)
                            start[0] = -1
                            for s in T.serial(THREADS):
                                if start[0] < 0:
                                    mass[0] = before[0] + sums[s]
                                    if mass[0] > goal[0]:
                                        start[0] = s * segment
                                    else:
                                        before[0] = mass[0]
                            found[0] = T.if_then_else(start[0] < 0, 1, 0)
                            token[0] = ids[0, last[0]]
                            for e in T.serial(segment):
                                if found[0] == 0 and start[0] + e <= last[0]:
                                    before[0] += probabilities[0, start[0] + e]
                                    if before[0] > goal[0]:
                                        found[0] = 1
                                        token[0] = ids[0, start[0] + e]

    return choose_token
