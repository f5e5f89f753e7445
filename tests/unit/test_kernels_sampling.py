"""The sampling kernels the browser runs, run serially on the CPU and held against numpy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st

from webslm.compiler.kernels import logits, softmax, sort, top_p
from webslm.compiler.kernels.threads import CPU

VOCABULARIES = (7, 256, 1024, 1025, 5000)
LOWEST = np.float32(-3.4028234663852886e38)


@cache
def built(make: Any, vocab_size: int) -> Any:
    """Compile one kernel for this machine."""
    kernel = make(vocab_size, CPU).with_attr("global_symbol", "kernel")
    return tvm.compile(tvm.IRModule({"kernel": kernel}), target="llvm")["kernel"]


def empty(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    return tvm.runtime.tensor(np.zeros(shape, dtype))


def tensor(values: Any, dtype: str) -> Any:
    return tvm.runtime.tensor(np.asarray(values, dtype=dtype))


def run_softmax(values: np.ndarray, temperature: float) -> np.ndarray:
    size = values.size
    chunks = softmax.num_chunks(size)
    given_logits = tensor(values.reshape(1, 1, size), "float32")
    warmth, maxima, totals = tensor([temperature], "float32"), empty((chunks,)), empty((chunks,))
    built(softmax.statistics, size)(given_logits, warmth, maxima, totals)
    result = empty((1, 1, size))
    built(softmax.normalise, size)(given_logits, warmth, maxima, totals, result)
    found: np.ndarray = result.numpy().reshape(-1)
    return found


def run_sort(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = probabilities.size
    keys, ids = empty((1, size)), empty((1, size), "int32")
    built(sort.sort_tiles, size)(tensor(probabilities.reshape(1, size), "float32"), keys, ids)
    for level in sort.merge_levels(size):
        merged, places = empty((1, size)), empty((1, size), "int32")
        built(sort.merge_runs, size)(keys, ids, level, merged, places)
        keys, ids = merged, places
    return keys.numpy().reshape(-1), ids.numpy().reshape(-1)


def run_choice(probabilities: np.ndarray, ids: np.ndarray, uniform: float, nucleus: float) -> int:
    token = empty((1,), "int32")
    built(top_p.choose, probabilities.size)(
        tensor(probabilities[None], "float32"),
        tensor(ids[None], "int32"),
        tensor([uniform], "float32"),
        tensor([nucleus], "float32"),
        token,
    )
    return int(token.numpy()[0])


@pytest.mark.parametrize("size", VOCABULARIES)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_softmax_equals_numpy(size: int, temperature: float) -> None:
    values = np.random.default_rng(size).normal(0, 4, size).astype(np.float32)
    wide = values.astype(np.float64) / temperature
    expected = np.exp(wide - wide.max())
    expected /= expected.sum()
    np.testing.assert_allclose(run_softmax(values, temperature), expected, atol=2e-7, rtol=1e-4)


@pytest.mark.parametrize("size", VOCABULARIES)
def test_softmax_is_greedy_when_the_temperature_is_web_llms_lowest(size: int) -> None:
    values = np.random.default_rng(size).normal(0, 4, size).astype(np.float32)
    result = run_softmax(values, 1e-6)
    assert result[values.argmax()] == 1.0
    assert np.count_nonzero(result) == 1


def test_softmax_gives_forbidden_tokens_nothing() -> None:
    values = np.array([1.0, LOWEST, 2.0, LOWEST, -3.0, 0.5, 0.25], dtype=np.float32)
    result = run_softmax(values, 0.7)
    assert result[[1, 3]].tolist() == [0.0, 0.0]
    assert np.isclose(result.sum(), 1.0)


@pytest.mark.parametrize("size", [*VOCABULARIES, 8192, 8193, 20000, 65537 + 1024])
def test_sort_equals_stable_argsort(size: int) -> None:
    rng = np.random.default_rng(size)
    # Few distinct values: ties must go by id.
    probabilities = rng.integers(0, max(2, size // 3), size).astype(np.float32)
    keys, ids = run_sort(probabilities)
    np.testing.assert_array_equal(ids, np.argsort(-probabilities, kind="stable"))
    np.testing.assert_array_equal(keys, probabilities[ids])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-30, 0.1, 0.5, 1.0]), min_size=300, max_size=300))
def test_sort_is_a_permutation_in_order(values: list[float]) -> None:
    probabilities = np.asarray(values, dtype=np.float32)
    keys, ids = run_sort(probabilities)
    assert sorted(ids.tolist()) == list(range(300))
    assert np.all(keys[:-1] >= keys[1:])


@pytest.mark.parametrize(
    ("uniform", "nucleus", "token"),
    [
        (0.0, 1.0, 40),
        (0.49, 1.0, 40),
        (0.5, 1.0, 30),
        (0.75, 1.0, 20),
        (0.99, 1.0, 10),
        # A nucleus of one half is the first token alone, whatever the uniform number.
        (0.99, 0.5, 40),
        # A nucleus of three quarters is two tokens with shares 2/3 and 1/3.
        (0.66, 0.75, 40),
        (0.67, 0.75, 30),
        (0.99, 0.51, 30),
        # web-llm's lowest top_p still leaves one token.
        (0.99, 1e-5, 40),
    ],
)
def test_choice_of_exact_shares(uniform: float, nucleus: float, token: int) -> None:
    probabilities = np.array([0.5, 0.25, 0.125, 0.125, 0.0, 0.0, 0.0], dtype=np.float32)
    ids = np.array([40, 30, 20, 10, 5, 6, 7], dtype=np.int32)
    assert run_choice(probabilities, ids, uniform, nucleus) == token


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sharpness=st.floats(0.01, 30),
    uniform=st.floats(0, 0.9999999),
    nucleus=st.floats(1e-5, 1),
    size=st.sampled_from([7, 256, 1000]),
)
def test_choice_keeps_to_the_nucleus(
    seed: int, sharpness: float, uniform: float, nucleus: float, size: int
) -> None:
    raw = np.random.default_rng(seed).normal(0, sharpness, size)
    shares = np.sort(np.exp(raw - raw.max()))[::-1]
    probabilities = (shares / shares.sum()).astype(np.float32)
    ids = np.random.default_rng(seed + 1).permutation(size).astype(np.int32)
    place = int(np.flatnonzero(ids == run_choice(probabilities, ids, uniform, nucleus))[0])
    sums = np.cumsum(probabilities.astype(np.float64))
    before = sums[place] - float(probabilities[place])
    slack = 1e-5
    assert before < nucleus + slack
    # The mass renormalised over: up to rounding, the shortest prefix that reaches the nucleus.
    low = sums[min(int(np.searchsorted(sums, nucleus - slack)), size - 1)]
    high = sums[min(int(np.searchsorted(sums, nucleus + slack)), size - 1)]
    assert before <= uniform * high + slack
    assert sums[place] >= uniform * low - slack


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    picked=st.lists(st.integers(0, 255), min_size=1, max_size=40, unique=True),
    presence=st.floats(-2, 2),
    frequency=st.floats(-2, 2),
    repetition=st.floats(0.5, 2),
)
def test_penalties_equal_numpy(
    seed: int, picked: list[int], presence: float, frequency: float, repetition: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 5, (1, 256)).astype(np.float32)
    counts = rng.integers(1, 9, len(picked)).astype(np.int32)
    expected = values.copy()
    left = values[0, picked] - (np.float32(presence) + counts * np.float32(frequency))
    expected[0, picked] = np.where(
        left < 0, left * np.float32(repetition), left / np.float32(repetition)
    )
    changed = tensor(values, "float32")
    built(logits.apply_penalty, 256)(
        changed,
        tensor([0], "int32"),
        tensor([0] * len(picked), "int32"),
        tensor(picked, "int32"),
        tensor(counts, "int32"),
        tensor([[presence, frequency, repetition]], "float32"),
    )
    np.testing.assert_allclose(changed.numpy(), expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1000, max_size=1000))
def test_bitmask_forbids_exactly_the_zero_bits(allowed: list[bool]) -> None:
    bits = np.zeros(1024, dtype=np.uint8)
    bits[:1000] = allowed
    mask = np.packbits(bits, bitorder="little").view("<i4")[None]
    values = np.arange(1000, dtype=np.float32)[None]
    changed = tensor(values, "float32")
    built(logits.apply_bitmask, 1000)(changed, tensor([0], "int32"), tensor(mask, "int32"))
    np.testing.assert_array_equal(changed.numpy(), np.where([allowed], values, LOWEST))


def test_logit_bias_is_added() -> None:
    changed = tensor(np.zeros((1, 300)), "float32")
    ids = np.arange(0, 300, 3)
    built(logits.apply_logit_bias, 300)(
        changed, tensor(ids * 0, "int32"), tensor(ids, "int32"), tensor(ids / 4, "float32")
    )
    expected = np.zeros((1, 300), dtype=np.float32)
    expected[0, ids] = ids / 4
    np.testing.assert_array_equal(changed.numpy(), expected)
