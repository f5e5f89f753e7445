"""The attention and rotary kernels on the CPU's threads, against numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tvm

from tests.built_kernels import built
from webslm.compiler.kernels.angles import sine_and_cosine
from webslm.compiler.kernels.attention import prefill_paged, prefill_ragged
from webslm.compiler.kernels.attention_decode import KEYS, decode
from webslm.compiler.kernels.attention_tile import (
    SHARED_BYTES,
    Attention,
    tile_bytes,
    tile_sizes,
)
from webslm.compiler.kernels.rope import Heads, normed_rotated, split_rotated
from webslm.compiler.kernels.threads import CPU
from webslm.compiler.metadata import PAGE_TOKENS
from webslm.model.architectures.rope import RopeTable

KV_HEADS, DIM, SCALE = 2, 16, 0.3
PAST, CHUNK = 37, 21
"""Neither a multiple of a page nor of a tile."""


def expected(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, plan: Attention, first: int, *, local: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return attention and log2-sum-exp of queries at ``first`` and on over keys from 0 on."""
    out = np.zeros_like(q)
    lse = np.full(q.shape[:2], -1e30, np.float32)
    for i in range(q.shape[0]):
        place = first + i
        start = max(0, place - (plan.window or 0) + 1) if local else 0
        seen = slice(start, min(place + 1, len(k)))
        for head in range(plan.heads):
            keys, values = k[seen, head // plan.group], v[seen, head // plan.group]
            if len(keys):
                score = keys.astype(np.float64) @ q[i, head] * SCALE
                if plan.cap is not None:
                    score = plan.cap * np.tanh(score / plan.cap)
                weight = np.exp(score - score.max())
                out[i, head] = weight @ values / weight.sum()
                lse[i, head] = (score.max() + math.log(weight.sum())) / math.log(2)
    return out, lse


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 2, shape).astype(np.float32)


def paged(k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scatter keys and values over pages in a mixed order -> pages, table, length of the last."""
    count = -(-len(k) // PAGE_TOKENS)
    table = np.random.default_rng(1).permutation(count + 2)[:count].astype(np.int32)
    pages = np.full((count + 2, 2, KV_HEADS, PAGE_TOKENS, DIM), np.nan, np.float32)
    for i in range(len(k)):
        pages[table[i // PAGE_TOKENS], 0, :, i % PAGE_TOKENS] = k[i]
        pages[table[i // PAGE_TOKENS], 1, :, i % PAGE_TOKENS] = v[i]
    return pages, table, np.array([(len(k) - 1) % PAGE_TOKENS + 1], np.int32)


def run(kernel: Any, plan: Attention, rows: int, *arrays: Any, local: bool) -> list[np.ndarray]:
    """Call a kernel whose last arrays are output and lse; flags but the scale are not read."""
    result = [
        tvm.runtime.tensor(np.zeros((rows, plan.heads, DIM), np.float32)),
        tvm.runtime.tensor(np.zeros((rows, plan.heads), np.float32)),
    ]
    given = [tvm.runtime.tensor(np.ascontiguousarray(array)) for array in arrays]
    flags: list[float] = [0, 1.0, 1.0, -SCALE if local else SCALE]
    if kernel is not decode:
        flags.insert(0, 1)
    built(kernel(plan, CPU))(*given, *result, *flags)
    return [tensor.numpy() for tensor in result]


def agree(found: list[np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 6, 7, 8, 20])
@pytest.mark.parametrize("local", [False, True])
def test_decode_leaves_out_no_head_of_any_group(group: int, local: bool) -> None:
    plan = Attention(
        heads=group * KV_HEADS, kv_heads=KV_HEADS, dim=DIM, dtype="float32", window=10, cap=4.0
    )
    q, k, v = random(1, plan.heads, DIM), random(PAST, KV_HEADS, DIM), random(PAST, 2, DIM) + 1
    pages, table, last = paged(k, v)
    ends = np.array([0, len(table)], np.int32)
    zero, place = np.zeros(1, np.int32), np.array([PAST - 1], np.int32)
    found = run(decode, plan, 1, q, pages, ends, table, last, zero, place, local=local)
    agree(found, expected(q, k, v, plan, PAST - 1, local=local))


@pytest.mark.parametrize("dim", [16, 20, 80, 128, 288])
@pytest.mark.parametrize("window", [None, 300])
def test_decode_over_more_keys_than_a_tile_holds(
    dim: int, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "DIM", dim)
    past = 2 * KEYS + 37
    plan = Attention(heads=6, kv_heads=KV_HEADS, dim=dim, dtype="float32", window=window)
    q, k, v = random(1, 6, dim) / 8, random(past, KV_HEADS, dim), random(past, 2, dim) + 1
    pages, table, last = paged(k, v)
    ends = np.array([0, len(table)], np.int32)
    zero, place = np.zeros(1, np.int32), np.array([past - 1], np.int32)
    local = window is not None
    found = run(decode, plan, 1, q, pages, ends, table, last, zero, place, local=local)
    agree(found, expected(q, k, v, plan, past - 1, local=local))


@pytest.mark.parametrize(("window", "cap"), [(None, None), (9, None), (40, 4.0)])
@pytest.mark.parametrize("group", [1, 7])
def test_prefill_over_itself_and_over_the_past(
    window: int | None, cap: float | None, group: int
) -> None:
    plan = Attention(
        heads=group * KV_HEADS, kv_heads=KV_HEADS, dim=DIM, dtype="float32", window=window, cap=cap
    )
    local = window is not None
    q, k = random(CHUNK, plan.heads, DIM), random(CHUNK, KV_HEADS, DIM)
    v = random(CHUNK, KV_HEADS, DIM) + 1
    begin, zero = np.array([0, CHUNK], np.int32), np.zeros(1, np.int32)
    places = np.arange(CHUNK, dtype=np.int32)
    found = run(prefill_ragged, plan, CHUNK, q, begin, k, v, begin, places, zero, local=local)
    agree(found, expected(q, k, v, plan, 0, local=local))
    k, v = random(PAST, KV_HEADS, DIM), random(PAST, KV_HEADS, DIM) + 1
    pages, table, last = paged(k, v)
    ends = np.array([0, len(table)], np.int32)
    past = (q, begin, pages, ends, table, last, zero, places + PAST)
    found = run(prefill_paged, plan, CHUNK, *past, local=local)
    agree(found, expected(q, k, v, plan, PAST, local=local))


@pytest.mark.parametrize("dim", [16, 64, 80, 96, 128, 256, 512])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_tiles_fit_a_workgroup(dim: int, dtype: str) -> None:
    plan = Attention(heads=8, kv_heads=1, dim=dim, dtype=dtype)
    assert tile_bytes(plan, *tile_sizes(plan)) <= SHARED_BYTES


def turned(x: np.ndarray, places: np.ndarray, table: RopeTable) -> np.ndarray:
    half = table.frequencies.shape[1]
    rows = (places >= table.switch).astype(int) * (len(table.frequencies) - 1)
    angle = places[:, None].astype(np.float64) * table.frequencies[rows]
    cos, sin = (f(angle)[:, None] * table.amplitude for f in (np.cos, np.sin))
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin, rest], axis=-1)


TABLE = RopeTable(
    frequencies=np.array([[1, 0.5, 0.1], [0.3, 0.2, 0.05]], np.float32), switch=6, amplitude=1.2
)
HEADS = Heads(heads=3, kv_heads=1, dim=12, dtype="float32")


def test_split_rotates_a_part_of_each_head_and_switches_tables() -> None:
    qkv, places = random(9, HEADS.fused, 12), np.arange(2, 11, dtype=np.int32)
    out = [tvm.runtime.tensor(np.zeros((9, count, 12), np.float32)) for count in (3, 1, 1)]
    given = [tvm.runtime.tensor(array) for array in (qkv, places)]
    built(split_rotated(HEADS, TABLE))(*given, *out, tvm.runtime.tensor(TABLE.frequencies))
    wanted = turned(qkv, places, TABLE)
    np.testing.assert_allclose(out[0].numpy(), wanted[:, :3], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(out[1].numpy(), wanted[:, 3:4], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(out[2].numpy(), qkv[:, 4:])


def test_heads_are_normalised_before_they_are_rotated() -> None:
    qkv, places = random(9, HEADS.fused, 12), np.arange(2, 11, dtype=np.int32)
    gains = random(12), random(12, 1)[:, 0]
    out = tvm.runtime.tensor(np.zeros_like(qkv))
    kernel = normed_rotated(HEADS, TABLE, epsilon=1e-3, offset=1.0, threads=CPU)
    arrays = (qkv, *gains, places, TABLE.frequencies)
    built(kernel)(*(tvm.runtime.tensor(np.ascontiguousarray(one)) for one in arrays), out)
    normed = qkv / np.sqrt((qkv**2).mean(-1, keepdims=True) + 1e-3)
    normed[:, :3] *= gains[0] + 1
    normed[:, 3] *= gains[1] + 1
    wanted = turned(normed, places, TABLE)
    np.testing.assert_allclose(out.numpy()[:, :4], wanted[:, :4], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(out.numpy()[:, 4:], qkv[:, 4:])


def test_sine_and_cosine_are_exact_far_from_zero() -> None:
    from tvm import te

    angles = np.concatenate([np.linspace(0, 7, 500), np.linspace(7, 5e4, 2000)]).astype(np.float32)
    given = te.placeholder((len(angles),), "float32", name="angle")
    results = [
        te.compute(given.shape, lambda i: sine_and_cosine(given[i])[0], name="sine"),
        te.compute(given.shape, lambda i: sine_and_cosine(given[i])[1], name="cosine"),
    ]
    call = built(te.create_prim_func([given, *results]))
    out = [tvm.runtime.tensor(np.zeros_like(angles)) for _ in results]
    call(tvm.runtime.tensor(angles), *out)
    for found, function in zip(out, (np.sin, np.cos), strict=True):
        np.testing.assert_allclose(found.numpy(), function(angles.astype(np.float64)), atol=1e-6)
