"""Own the attention kernel of one token over all cached tokens, itself included. Emit no Relax.

A block owns one query head and walks the cache in tiles of 256 keys. ``LANES`` threads share a key
while products are summed, so that a cached row is read in one piece; then each thread has a key,
and last an element of the head in a slice of the keys. Heads of a group read the same rows: that
costs cache reads, and one block for all of them left the GPU idle (0.23 ms for a layer of
Qwen2.5-0.5B at 1024 tokens on an H100).
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# The runtime passes more than is needed, and what it passes must be bound to be accepted.
# ruff: noqa: N812, ARG001, F841, C901
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.attention_tile import EVERYTHING, LOG2_E, LOWEST, Attention
from webslm.compiler.kernels.elementwise import soft_capped
from webslm.compiler.kernels.threads import Threads
from webslm.compiler.metadata import PAGE_TOKENS

KEYS = 256
"""Keys of a tile, and threads of a block."""
LANES = 16
PADDED = LANES + 1
"""Flat and padded, so that threads with a key each read from different banks."""
KEYS_AT_ONCE = KEYS // LANES
LOADS = 32
"""Loads of keys that a thread has under way at the same time."""
GATHERED = 16
"""Rows of values whose loads are."""


def decode(plan: Attention, threads: Threads) -> Any:
    """Return the kernel: q [1, h, d], pages [p, 2, hkv, 16, d] -> out [1, h, d], lse [1, h]."""
    heads, kv_heads, dim, dtype = plan.heads, plan.kv_heads, plan.dim, plan.dtype
    group, cap, window = plan.group, plan.cap, plan.window or EVERYTHING
    bind, shared, private = threads.bind, threads.shared, threads.private
    copies = threads.copies(KEYS)
    per_lane, per_thread, slices = -(-dim // LANES), -(-dim // KEYS), max(1, KEYS // dim)
    # A power of two, so that whole turns fill a tile.
    scored = 1 << (max(1, min(KEYS_AT_ONCE, LOADS // per_lane)).bit_length() - 1)

    @T.prim_func(s_tir=True)
    def attention_token(
        var_q: T.handle,
        var_pages: T.handle,
        var_page_begin: T.handle,
        var_table: T.handle,
        var_last_page: T.handle,
        var_k_offset: T.handle,
        var_q_position: T.handle,
        var_output: T.handle,
        var_lse: T.handle,
        rotary_mode: T.int32,
        rope_scale: T.float32,
        rope_theta: T.float32,
        sm_scale: T.float32,
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True})
        held = T.int32()
        num_pages = T.int32()
        pages_at = T.int64()
        page_begin_at = T.int32()
        table_at = T.int32()
        last_page_at = T.int32()
        offset_at = T.int32()
        position_at = T.int32()
        q = T.match_buffer(var_q, (1, heads, dim), dtype)
        pages = T.match_buffer(
            var_pages, (num_pages, 2, kv_heads, PAGE_TOKENS, dim), dtype, elem_offset=pages_at
        )
        page_begin = T.match_buffer(var_page_begin, (2,), "int32", elem_offset=page_begin_at)
        table = T.match_buffer(var_table, (held,), "int32", elem_offset=table_at)
        last_page = T.match_buffer(var_last_page, (1,), "int32", elem_offset=last_page_at)
        k_offset = T.match_buffer(var_k_offset, (1,), "int32", elem_offset=offset_at)
        q_position = T.match_buffer(var_q_position, (1,), "int32", elem_offset=position_at)
        output = T.match_buffer(var_output, (1, heads, dim), dtype)
        lse = T.match_buffer(var_lse, (1, heads), "float32")
        for bx in bind(heads, thread="blockIdx.x"):
            with T.sblock("attention"):
                h = T.axis.spatial(heads, bx)
                T.reads()
                T.writes()
                q_s = T.sblock_alloc_buffer((dim,), "float32", scope=shared)
                part = T.sblock_alloc_buffer((KEYS * PADDED,), "float32", scope=shared)
                share = T.sblock_alloc_buffer((KEYS,), "float32", scope=shared)
                peak = T.sblock_alloc_buffer((LANES,), "float32", scope=shared)
                sums = T.sblock_alloc_buffer((slices,), "float32", scope=shared)
                rows = T.sblock_alloc_buffer((slices, dim), "float32", scope=shared)
                acc = T.sblock_alloc_buffer((copies, per_thread), "float32", scope=private)
                total = T.sblock_alloc_buffer((copies, 1), "float32", scope=private)
                most = T.sblock_alloc_buffer((copies, 1), "float32", scope=private)
                factor = T.sblock_alloc_buffer((copies, 1), "float32", scope=private)
                length: T.let[T.int32] = (held - 1) * PAGE_TOKENS + last_page[0]
                span: T.let[T.int32] = T.Select(sm_scale < T.float32(0), window, EVERYTHING)
                first: T.let[T.int32] = T.max(length - span, 0) // KEYS
                last: T.let[T.int32] = (length + KEYS - 1) // KEYS
                for t in bind(KEYS, thread="threadIdx.x"):
                    with T.sblock("load_query"):
                        T.reads()
                        T.writes()
                        for i in T.serial(per_thread):
                            if i * KEYS + t < dim:
                                q_s[i * KEYS + t] = T.Cast("float32", q[0, h, i * KEYS + t])
                        for i in T.unroll(per_thread):
                            acc[t % copies, i] = T.float32(0)
                        total[t % copies, 0] = T.float32(0)
                        most[t % copies, 0] = T.float32(LOWEST)
                for step in T.serial(last - first):
                    for t in bind(KEYS, thread="threadIdx.x"):
                        with T.sblock("products"):
                            T.reads()
                            T.writes()
                            dot = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            here: T.let[T.int32] = (first + step) * KEYS
                            seen: T.let[T.int32] = T.min(length - here, KEYS)
                            turn: T.let[T.int32] = KEYS_AT_ONCE * scored
                            for i in T.serial((seen + turn - 1) // turn):
                                for u in T.unroll(scored):
                                    own: T.let[T.int32] = (
                                        i * scored + u
                                    ) * KEYS_AT_ONCE + t // LANES
                                    key: T.let[T.int32] = T.min(here + own, length - 1)
                                    page: T.let[T.int32] = table[key // PAGE_TOKENS]
                                    dot[0] = T.float32(0)
                                    for j in T.unroll(per_lane):
                                        d: T.let[T.int32] = t % LANES + j * LANES
                                        if d < dim:
                                            dot[0] += q_s[d] * T.Cast(
                                                "float32",
                                                pages[page, 0, h // group, key % PAGE_TOKENS, d],
                                            )
                                    part[own * PADDED + t % LANES] = dot[0]
                    for t in bind(KEYS, thread="threadIdx.x"):
                        with T.sblock("scores"):
                            T.reads()
                            T.writes()
                            dot = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            key: T.let[T.int32] = (first + step) * KEYS + t
                            dot[0] = T.float32(LOWEST)
                            if key < length and (
                                sm_scale > T.float32(0) or key + window > length - 1
                            ):
                                dot[0] = T.float32(0)
                                for j in T.unroll(LANES):
                                    dot[0] += part[t * PADDED + j]
                                dot[0] = dot[0] * T.abs(sm_scale)
                                if cap is not None:
                                    dot[0] = soft_capped(dot[0], cap)
                                dot[0] = dot[0] * T.float32(LOG2_E)
                            share[t] = dot[0]
                    for t in bind(KEYS, thread="threadIdx.x"):
                        with T.sblock("peaks"):
                            T.reads()
                            T.writes()
                            high = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            if t < LANES:
                                high[0] = share[t]
                                for i in T.unroll(KEYS_AT_ONCE):
                                    high[0] = T.max(high[0], share[t + i * LANES])
                                peak[t] = high[0]
                    for t in bind(KEYS, thread="threadIdx.x"):
                        with T.sblock("weights"):
                            T.reads()
                            T.writes()
                            high = T.sblock_alloc_buffer((1,), "float32", scope="local")
                            high[0] = most[t % copies, 0]
                            for i in T.unroll(LANES):
                                high[0] = T.max(high[0], peak[i])
                            factor[t % copies, 0] = T.exp2(most[t % copies, 0] - high[0])
                            most[t % copies, 0] = high[0]
                            share[t] = T.if_then_else(
                                share[t] > T.float32(LOWEST / 2),
                                T.exp2(share[t] - high[0]),
                                T.float32(0),
                            )
                    for t in bind(KEYS, thread="threadIdx.x"):
                        with T.sblock("gather"):
                            T.reads()
                            T.writes()
                            here: T.let[T.int32] = (first + step) * KEYS
                            seen: T.let[T.int32] = T.min(length - here, KEYS)
                            turn: T.let[T.int32] = slices * GATHERED
                            total[t % copies, 0] = total[t % copies, 0] * factor[t % copies, 0]
                            for e in T.unroll(per_thread):
                                acc[t % copies, e] = acc[t % copies, e] * factor[t % copies, 0]
                            if t < slices * dim:
                                for i in T.serial((seen + turn - 1) // turn):
                                    for u in T.unroll(GATHERED):
                                        own: T.let[T.int32] = (i * GATHERED + u) * slices + t // dim
                                        # Keys past the end weigh nothing; past the tile, none is.
                                        weight: T.let[T.float32] = T.if_then_else(
                                            own < seen, share[T.min(own, KEYS - 1)], T.float32(0)
                                        )
                                        key: T.let[T.int32] = T.min(here + own, length - 1)
                                        total[t % copies, 0] += weight
                                        for e in T.unroll(per_thread):
                                            acc[t % copies, e] += weight * T.Cast(
                                                "float32",
                                                pages[
                                                    table[key // PAGE_TOKENS],
                                                    1,
                                                    h // group,
                                                    key % PAGE_TOKENS,
                                                    T.min(t % dim + e * KEYS, dim - 1),
                                                ],
                                            )
                for t in bind(KEYS, thread="threadIdx.x"):
                    with T.sblock("slices"):
                        T.reads()
                        T.writes()
                        if t < slices * dim:
                            for e in T.unroll(per_thread):
                                if t % dim + e * KEYS < dim:
                                    rows[t // dim, t % dim + e * KEYS] = acc[t % copies, e]
                            if t % dim == 0:
                                sums[t // dim] = total[t % copies, 0]
                for t in bind(KEYS, thread="threadIdx.x"):
                    with T.sblock("finish"):
                        T.reads()
                        T.writes()
                        value = T.sblock_alloc_buffer((2,), "float32", scope="local")
                        value[1] = T.float32(0)
                        for i in T.unroll(slices):
                            value[1] += sums[i]
                        for e in T.serial(per_thread):
                            if e * KEYS + t < dim:
                                value[0] = T.float32(0)
                                for i in T.unroll(slices):
                                    value[0] += rows[i, e * KEYS + t]
                                output[0, h, e * KEYS + t] = T.Cast(dtype, value[0] / value[1])
                        if t == 0:
                            lse[0, h] = most[t % copies, 0] + T.log2(value[1])

    return attention_token
