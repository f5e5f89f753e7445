"""Own the two attention kernels of a chunk: over itself, and over the past in the cache. No Relax.

TVM's kernels know neither a cap on the scores nor a window that differs from layer to layer, and
took 70 % of a long prompt's time on an H100. ``attention_tile`` says how these walk, and
``attention_decode`` has the kernel of one token. Signatures are the runtime's. One sequence, as in
web-llm; keys are rotated before they are cached.
"""

# TVMScript is Python only in form: a kernel's length and branches are the GPU program's own.
# The runtime passes more than is needed, and what it passes must be bound to be accepted.
# ruff: noqa: N812, ARG001, F841
# mypy: disable-error-code="valid-type, no-redef, untyped-decorator"

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T

from webslm.compiler.kernels.attention_tile import EVERYTHING, THREADS, Attention, Tile
from webslm.compiler.kernels.threads import Threads
from webslm.compiler.metadata import PAGE_TOKENS


def prefill_ragged(plan: Attention, threads: Threads) -> Any:
    """Return the kernel of a chunk over itself: q [n, h, d], k and v [n, hkv, d] -> out, lse."""
    tile_of = Tile(plan, threads)
    tall, keys, parts, group = tile_of.rows, tile_of.keys, tile_of.parts, plan.group
    kv_size, score_size = tile_of.kv_size, tile_of.score_size
    copies, registers = threads.copies(THREADS), tile_of.registers
    heads, kv_heads, dim, dtype = plan.heads, plan.kv_heads, plan.dim, plan.dtype
    bind, shared, private = threads.bind, threads.shared, threads.private
    window = plan.window or EVERYTHING

    @T.prim_func(s_tir=True)
    def attention_ragged(
        var_q: T.handle,
        var_q_begin: T.handle,
        var_k: T.handle,
        var_v: T.handle,
        var_kv_begin: T.handle,
        var_q_position: T.handle,
        var_k_offset: T.handle,
        var_output: T.handle,
        var_lse: T.handle,
        causal: T.int32,
        rotary_mode: T.int32,
        rope_scale: T.float32,
        rope_theta: T.float32,
        sm_scale: T.float32,
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True})
        n = T.int32()
        q_begin_at = T.int32()
        kv_begin_at = T.int32()
        position_at = T.int32()
        offset_at = T.int32()
        q = T.match_buffer(var_q, (n, heads, dim), dtype)
        q_begin = T.match_buffer(var_q_begin, (2,), "int32", elem_offset=q_begin_at)
        k = T.match_buffer(var_k, (n, kv_heads, dim), dtype)
        v = T.match_buffer(var_v, (n, kv_heads, dim), dtype)
        kv_begin = T.match_buffer(var_kv_begin, (2,), "int32", elem_offset=kv_begin_at)
        q_position = T.match_buffer(var_q_position, (n,), "int32", elem_offset=position_at)
        k_offset = T.match_buffer(var_k_offset, (1,), "int32", elem_offset=offset_at)
        output = T.match_buffer(var_output, (n, heads, dim), dtype)
        lse = T.match_buffer(var_lse, (n, heads), "float32")
        for bx in bind((n * group + tall - 1) // tall, thread="blockIdx.x"):
            for by in bind(kv_heads, thread="blockIdx.y"):
                with T.sblock("attention"):
                    b, g = T.axis.remap("SS", [bx, by])
                    T.reads()
                    T.writes()
                    q_s = T.sblock_alloc_buffer((tall, dim), dtype, scope=shared)
                    kv_s = T.sblock_alloc_buffer((kv_size,), dtype, scope=shared)
                    score = T.sblock_alloc_buffer((score_size,), "float32", scope=shared)
                    peak = T.sblock_alloc_buffer((tall, parts), "float32", scope=shared)
                    mass = T.sblock_alloc_buffer((tall, parts), "float32", scope=shared)
                    highest = T.sblock_alloc_buffer((tall,), "float32", scope=shared)
                    fresh = T.sblock_alloc_buffer((tall, 2), "float32", scope=shared)
                    acc = T.sblock_alloc_buffer((copies, registers), "float32", scope=private)
                    total = T.sblock_alloc_buffer((copies, 1), "float32", scope=private)
                    span: T.let[T.int32] = T.Select(sm_scale < T.float32(0), window, EVERYTHING)
                    first: T.let[T.int32] = T.max(b * tall // group - span + 1, 0) // keys
                    last: T.let[T.int32] = (
                        T.min(n, (b * tall + tall - 1) // group + 1) + keys - 1
                    ) // keys
                    tile_of.load_queries(q, q_s, acc, total, highest, n, b, g)
                    for step in T.serial(last - first):
                        tile_of.load_ragged(k, kv_s, first + step, n, g)
                        tile_of.score(q_s, kv_s, score, first + step, b, 0, n, sm_scale)
                        tile_of.load_ragged(v, kv_s, first + step, n, g)
                        tile_of.weigh(score, peak, mass, highest, fresh)
                        tile_of.gather(kv_s, score, mass, highest, fresh, acc, total)
                    tile_of.finish(output, lse, acc, total, mass, highest, n, b, g)

    return attention_ragged


def prefill_paged(plan: Attention, threads: Threads) -> Any:
    """Return the kernel of a chunk over the tokens before it: q [n, h, d], pages -> out, lse."""
    tile_of = Tile(plan, threads)
    tall, keys, parts, group = tile_of.rows, tile_of.keys, tile_of.parts, plan.group
    kv_size, score_size = tile_of.kv_size, tile_of.score_size
    copies, registers = threads.copies(THREADS), tile_of.registers
    heads, kv_heads, dim, dtype = plan.heads, plan.kv_heads, plan.dim, plan.dtype
    bind, shared, private = threads.bind, threads.shared, threads.private
    window = plan.window or EVERYTHING

    @T.prim_func(s_tir=True)
    def attention_past(
        var_q: T.handle,
        var_q_begin: T.handle,
        var_pages: T.handle,
        var_page_begin: T.handle,
        var_table: T.handle,
        var_last_page: T.handle,
        var_k_offset: T.handle,
        var_q_position: T.handle,
        var_output: T.handle,
        var_lse: T.handle,
        causal: T.int32,
        rotary_mode: T.int32,
        rope_scale: T.float32,
        rope_theta: T.float32,
        sm_scale: T.float32,
    ) -> None:
        T.func_attr({"tirx.is_scheduled": True})
        n = T.int32()
        held = T.int32()
        num_pages = T.int32()
        pages_at = T.int64()
        q_begin_at = T.int32()
        page_begin_at = T.int32()
        table_at = T.int32()
        last_page_at = T.int32()
        offset_at = T.int32()
        position_at = T.int32()
        q = T.match_buffer(var_q, (n, heads, dim), dtype)
        q_begin = T.match_buffer(var_q_begin, (2,), "int32", elem_offset=q_begin_at)
        pages = T.match_buffer(
            var_pages, (num_pages, 2, kv_heads, PAGE_TOKENS, dim), dtype, elem_offset=pages_at
        )
        page_begin = T.match_buffer(var_page_begin, (2,), "int32", elem_offset=page_begin_at)
        table = T.match_buffer(var_table, (held,), "int32", elem_offset=table_at)
        last_page = T.match_buffer(var_last_page, (1,), "int32", elem_offset=last_page_at)
        k_offset = T.match_buffer(var_k_offset, (1,), "int32", elem_offset=offset_at)
        q_position = T.match_buffer(var_q_position, (n,), "int32", elem_offset=position_at)
        output = T.match_buffer(var_output, (n, heads, dim), dtype)
        lse = T.match_buffer(var_lse, (n, heads), "float32")
        for bx in bind((n * group + tall - 1) // tall, thread="blockIdx.x"):
            for by in bind(kv_heads, thread="blockIdx.y"):
                with T.sblock("attention"):
                    b, g = T.axis.remap("SS", [bx, by])
                    T.reads()
                    T.writes()
                    q_s = T.sblock_alloc_buffer((tall, dim), dtype, scope=shared)
                    kv_s = T.sblock_alloc_buffer((kv_size,), dtype, scope=shared)
                    score = T.sblock_alloc_buffer((score_size,), "float32", scope=shared)
                    peak = T.sblock_alloc_buffer((tall, parts), "float32", scope=shared)
                    mass = T.sblock_alloc_buffer((tall, parts), "float32", scope=shared)
                    highest = T.sblock_alloc_buffer((tall,), "float32", scope=shared)
                    fresh = T.sblock_alloc_buffer((tall, 2), "float32", scope=shared)
                    acc = T.sblock_alloc_buffer((copies, registers), "float32", scope=private)
                    total = T.sblock_alloc_buffer((copies, 1), "float32", scope=private)
                    # The pages of the one sequence are all that the table holds.
                    past: T.let[T.int32] = (held - 1) * PAGE_TOKENS + last_page[0]
                    span: T.let[T.int32] = T.Select(sm_scale < T.float32(0), window, EVERYTHING)
                    first: T.let[T.int32] = T.max(past + b * tall // group - span + 1, 0) // keys
                    last: T.let[T.int32] = (past + keys - 1) // keys
                    tile_of.load_queries(q, q_s, acc, total, highest, n, b, g)
                    for step in T.serial(T.max(last - first, 0)):
                        tile_of.load_paged(pages, table, kv_s, 0, first + step, past, g)
                        tile_of.score(q_s, kv_s, score, first + step, b, past, past, sm_scale)
                        tile_of.load_paged(pages, table, kv_s, 1, first + step, past, g)
                        tile_of.weigh(score, peak, mass, highest, fresh)
                        tile_of.gather(kv_s, score, mass, highest, fresh, acc, total)
                    tile_of.finish(output, lse, acc, total, mass, highest, n, b, g)

    return attention_past
