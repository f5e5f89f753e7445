"""Own what changes logits in place before sampling. Emit no Relax.

These are exported as they are: web-llm looks the functions up by name and ignores what they return.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812, SIM102
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.threads import Threads

THREADS = 256
LOWEST = -3.4028234663852886e38
BITS = 32


def apply_logit_bias(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: logits [b, V], row [k], token id [k], bias [k]."""
    bind = threads.bind

    @T.prim_func(s_tir=True)
    def apply_logit_bias_inplace(
        var_logits: T.handle, var_rows: T.handle, var_ids: T.handle, var_bias: T.handle
    ) -> None:
        T.func_attr(
            {
                "global_symbol": "apply_logit_bias_inplace",
                "tirx.is_scheduled": True,
                "tirx.noalias": True,
            }
        )
        batch, k = T.int32(), T.int32()
        logits = T.match_buffer(var_logits, (batch, vocab_size), "float32")
        rows = T.match_buffer(var_rows, (k,), "int32")
        ids = T.match_buffer(var_ids, (k,), "int32")
        bias = T.match_buffer(var_bias, (k,), "float32")
        for bx in bind((k + THREADS - 1) // THREADS, thread="blockIdx.x"):
            for tx in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("token"):
                    b, t = T.axis.remap("SS", [bx, tx])
                    i: T.let[T.int32] = b * THREADS + t
                    if i < k:
                        logits[rows[i], ids[i]] = logits[rows[i], ids[i]] + bias[i]

    return apply_logit_bias_inplace


def apply_penalty(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: logits, sequence ids [s], row [k], token id [k], count [k], [s, 3].

    The last holds presence, frequency and repetition: presence + count * frequency is taken off;
    what is left is divided by repetition where it is not negative, else multiplied.
    """
    bind = threads.bind

    @T.prim_func(s_tir=True)
    def apply_penalty_inplace(
        var_logits: T.handle,
        var_sequences: T.handle,
        var_rows: T.handle,
        var_ids: T.handle,
        var_counts: T.handle,
        var_penalties: T.handle,
    ) -> None:
        T.func_attr(
            {
                "global_symbol": "apply_penalty_inplace",
                "tirx.is_scheduled": True,
                "tirx.noalias": True,
            }
        )
        batch, num_sequences, k = T.int32(), T.int32(), T.int32()
        logits = T.match_buffer(var_logits, (batch, vocab_size), "float32")
        sequences = T.match_buffer(var_sequences, (num_sequences,), "int32")
        rows = T.match_buffer(var_rows, (k,), "int32")
        ids = T.match_buffer(var_ids, (k,), "int32")
        counts = T.match_buffer(var_counts, (k,), "int32")
        penalties = T.match_buffer(var_penalties, (num_sequences, 3), "float32")
        for bx in bind((k + THREADS - 1) // THREADS, thread="blockIdx.x"):
            for tx in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("token"):
                    b, t = T.axis.remap("SS", [bx, tx])
                    left = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    i: T.let[T.int32] = b * THREADS + t
                    if i < k:
                        left[0] = logits[sequences[rows[i]], ids[i]] - (
                            penalties[rows[i], 0]
                            + T.Cast("float32", counts[i]) * penalties[rows[i], 1]
                        )
                        logits[sequences[rows[i]], ids[i]] = T.if_then_else(
                            left[0] < T.float32(0),
                            left[0] * penalties[rows[i], 2],
                            left[0] / penalties[rows[i], 2],
                        )

    return apply_penalty_inplace


def apply_bitmask(vocab_size: int, threads: Threads) -> Any:
    """Return the kernel: logits, sequence ids [s], mask int32 [b, ceil(V / 32)]; bit 1 = allowed.

    A forbidden token gets the lowest float32.
    """
    words = -(-vocab_size // BITS)
    blocks = -(-vocab_size // THREADS)

    bind = threads.bind

    @T.prim_func(s_tir=True)
    def apply_bitmask_inplace(
        var_logits: T.handle, var_sequences: T.handle, var_mask: T.handle
    ) -> None:
        T.func_attr(
            {
                "global_symbol": "apply_bitmask_inplace",
                "tirx.is_scheduled": True,
                "tirx.noalias": True,
            }
        )
        batch, num_sequences = T.int32(), T.int32()
        logits = T.match_buffer(var_logits, (batch, vocab_size), "float32")
        sequences = T.match_buffer(var_sequences, (num_sequences,), "int32")
        mask = T.match_buffer(var_mask, (batch, words), "int32")
        for by in bind(num_sequences, thread="blockIdx.y"):
            for bx in bind(blocks, thread="blockIdx.x"):
                for tx in bind(THREADS, thread="threadIdx.x"):
                    with T.sblock("token"):
                        s, b, t = T.axis.remap("SSS", [by, bx, tx])
                        i: T.let[T.int32] = b * THREADS + t
                        if i < vocab_size:
                            if (
                                T.bitwise_and(
                                    T.shift_right(mask[sequences[s], i // BITS], i % BITS), 1
                                )
                                == 0
                            ):
                                logits[sequences[s], i] = T.float32(LOWEST)

    return apply_bitmask_inplace
