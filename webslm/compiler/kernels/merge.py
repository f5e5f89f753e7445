"""Own the merge of two attention results over different keys. Emit no Relax.

TVM's own kernel lets many threads read a row's log-sum-exp that one of them overwrites. Where a
row's threads do not run in lockstep (SwiftShader, narrow subgroups) the late ones read the merged
value: every prompt longer than one prefill chunk then goes wrong. Here a thread owns a whole row.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# ruff: noqa: N812
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.threads import Threads

THREADS = 64


def merge_attention(heads: int, dim: int, dtype: str, threads: Threads) -> Any:
    """Return the kernel: values [n, h, d] and log2-sum-exp [n, h], merged in place with others."""
    bind = threads.bind

    @T.prim_func(s_tir=True)
    def attention_merge(
        var_values: T.handle, var_lse: T.handle, var_values_other: T.handle, var_lse_other: T.handle
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True})
        n = T.int32()
        values = T.match_buffer(var_values, (n, heads, dim), dtype)
        lse = T.match_buffer(var_lse, (n, heads), "float32")
        values_other = T.match_buffer(var_values_other, (n, heads, dim), dtype)
        lse_other = T.match_buffer(var_lse_other, (n, heads), "float32")
        for bx in bind((n * heads + THREADS - 1) // THREADS, thread="blockIdx.x"):
            for tx in bind(THREADS, thread="threadIdx.x"):
                with T.sblock("row"):
                    b, t = T.axis.remap("SS", [bx, tx])
                    peak = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    own = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    other = T.sblock_alloc_buffer((1,), "float32", scope="local")
                    row: T.let[T.int32] = (b * THREADS + t) // heads
                    head: T.let[T.int32] = (b * THREADS + t) % heads
                    if row < n:
                        peak[0] = T.max(lse[row, head], lse_other[row, head])
                        own[0] = T.exp2(lse[row, head] - peak[0])
                        other[0] = T.exp2(lse_other[row, head] - peak[0])
                        lse[row, head] = T.log2(own[0] + other[0]) + peak[0]
                        for d in T.serial(dim):
                            values[row, head, d] = T.Cast(
                                dtype,
                                (
                                    T.Cast("float32", values[row, head, d]) * own[0]
                                    + T.Cast("float32", values_other[row, head, d]) * other[0]
                                )
                                / (own[0] + other[0]),
                            )

    return attention_merge
