"""Own the softmax with temperature: two kernels, a block per chunk of the logits. Emit no Relax."""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, C901, SIM102
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.threads import Threads

THREADS = 256
TREE_LEVELS = 8
CHUNK = 4096
"""Logits that one block reads."""
PER_THREAD = CHUNK // THREADS
LOWEST = -3.4028234663852886e38
UNDERFLOW = -80.0
"""Exponent below which a probability is zero. It is tested before the division by the temperature,
because WGSL does not define what an infinity does."""


def num_chunks(vocab_size: int) -> int:
    """Return the blocks of the softmax."""
    return -(-vocab_size // CHUNK)


def statistics(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: logits, temperature -> per chunk its maximum and its sum of exponents."""
    chunks = num_chunks(vocab_size)

    bind, shared = threads.bind, threads.shared

    @T.prim_func(s_tir=True, private=True)
    def softmax_statistics(
        logits: T.Buffer((1, 1, vocab_size), "float32"),
        temperature: T.Buffer((1,), "float32"),
        maxima: T.Buffer((chunks,), "float32"),
        totals: T.Buffer((chunks,), "float32"),
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        for bx in bind(chunks, thread="blockIdx.x"):
            with T.sblock("chunk"):
                chunk = T.axis.spatial(chunks, bx)
                peak = T.sblock_alloc_buffer((2, THREADS), "float32", scope=shared)
                total = T.sblock_alloc_buffer((2, THREADS), "float32", scope=shared)
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("own_peak"):
                        t = T.axis.spatial(THREADS, tx)
                        own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        own[0] = T.float32(LOWEST)
                        for e in T.serial(PER_THREAD):
                            i: T.let[T.int32] = chunk * CHUNK + e * THREADS + t
                            if i < vocab_size:
                                own[0] = T.max(own[0], logits[0, 0, i])
                        peak[0, t] = own[0]
                for level in T.serial(TREE_LEVELS):
                    for tx in bind(THREADS, thread="threadIdx.x"):
                        with T.sblock("peak_tree"):
                            t, v = T.axis.remap("SS", [tx, level])
                            peak[(v + 1) % 2, t] = T.max(
                                peak[v % 2, t],
                                peak[v % 2, (t + T.shift_left(1, v)) % THREADS],
                            )
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("own_total"):
                        t = T.axis.spatial(THREADS, tx)
                        own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        high = T.sblock_alloc_buffer((1,), "float32", scope="local")
                        own[0] = T.float32(0)
                        high[0] = peak[0, 0]
                        for e in T.serial(PER_THREAD):
                            i: T.let[T.int32] = chunk * CHUNK + e * THREADS + t
                            if i < vocab_size:
                                if logits[0, 0, i] - high[0] >= UNDERFLOW * temperature[0]:
                                    own[0] += T.exp((logits[0, 0, i] - high[0]) / temperature[0])
                        total[0, t] = own[0]
                for level in T.serial(TREE_LEVELS):
                    for tx in bind(THREADS, thread="threadIdx.x"):
                        with T.sblock("total_tree"):
                            t, v = T.axis.remap("SS", [tx, level])
                            total[(v + 1) % 2, t] = (
                                total[v % 2, t] + total[v % 2, (t + T.shift_left(1, v)) % THREADS]
                            )
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("write"):
                        t = T.axis.spatial(THREADS, tx)
                        if t == 0:
                            maxima[chunk] = peak[0, 0]
                            totals[chunk] = total[0, 0]

    return softmax_statistics


def normalise(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: logits, temperature and the statistics of all chunks -> probabilities."""
    chunks = num_chunks(vocab_size)

    bind = threads.bind

    @T.prim_func(s_tir=True, private=True)
    def softmax_normalise(
        logits: T.Buffer((1, 1, vocab_size), "float32"),
        temperature: T.Buffer((1,), "float32"),
        maxima: T.Buffer((chunks,), "float32"),
        totals: T.Buffer((chunks,), "float32"),
        probabilities: T.Buffer((1, 1, vocab_size), "float32"),
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True, "tirx.noalias": True})
        for bx in bind(chunks, thread="blockIdx.x"):
            for tx in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("chunk"):
                    chunk, t = T.axis.remap("SS", [bx, tx])
                    peak = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    total = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    peak[0] = maxima[0]
                    for c in T.serial(chunks):
                        peak[0] = T.max(peak[0], maxima[c])
                    total[0] = T.float32(0)
                    for c in T.serial(chunks):
                        if maxima[c] - peak[0] >= UNDERFLOW * temperature[0]:
                            total[0] += totals[c] * T.exp((maxima[c] - peak[0]) / temperature[0])
                    for e in T.serial(PER_THREAD):
                        i: T.let[T.int32] = chunk * CHUNK + e * THREADS + t
                        if i < vocab_size:
                            if logits[0, 0, i] - peak[0] >= UNDERFLOW * temperature[0]:
                                probabilities[0, 0, i] = (
                                    T.exp((logits[0, 0, i] - peak[0]) / temperature[0]) / total[0]
                                )
                            else:
                                probabilities[0, 0, i] = T.float32(0)

    return softmax_normalise
