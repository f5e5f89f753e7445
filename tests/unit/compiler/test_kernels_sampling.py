"""The kernels around a choice of token, run serially on the CPU and held against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.built_kernels import built_for
from webslm.compiler.kernels import logits, softmax

VOCABULARIES = (7, 256, 1024, 1025, 5000)
LOWEST = np.float32(-3.4028234663852886e38)


def empty(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    return tvm.runtime.tensor(np.zeros(shape, dtype))


def tensor(values: Any, dtype: str) -> Any:
    return tvm.runtime.tensor(np.asarray(values, dtype=dtype))


def run_softmax(values: np.ndarray, temperature: float) -> np.ndarray:
    size = values.size
    chunks = softmax.num_chunks(size)
    given_logits = tensor(values.reshape(1, 1, size), "float32")
    warmth, maxima, totals = tensor([temperature], "float32"), empty((chunks,)), empty((chunks,))
    built_for(softmax.statistics, size)(given_logits, warmth, maxima, totals)
    result = empty((1, 1, size))
    built_for(softmax.normalise, size)(given_logits, warmth, maxima, totals, result)
    found: np.ndarray = result.numpy().reshape(-1)
    return found


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
    built_for(logits.apply_penalty, 256)(
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
    built_for(logits.apply_bitmask, 1000)(changed, tensor([0], "int32"), tensor(mask, "int32"))
    np.testing.assert_array_equal(changed.numpy(), np.where([allowed], values, LOWEST))


def test_logit_bias_is_added() -> None:
    changed = tensor(np.zeros((1, 300)), "float32")
    ids = np.arange(0, 300, 3)
    built_for(logits.apply_logit_bias, 300)(
        changed, tensor(ids * 0, "int32"), tensor(ids, "int32"), tensor(ids / 4, "float32")
    )
    expected = np.zeros((1, 300), dtype=np.float32)
    expected[0, ids] = ids / 4
    np.testing.assert_array_equal(changed.numpy(), expected)
