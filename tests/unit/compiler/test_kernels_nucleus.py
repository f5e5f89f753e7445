"""The choice of a token without a sort: the same distribution as with one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel_draws import draw, masses, nucleus_shares, softened
from webslm.compiler.kernels import nucleus

EXAMPLE = np.array([0.125, 0.25, 0.0, 0.5, 0.125, 0.0, 0.0], dtype=np.float32)


def chi_square(counts: np.ndarray, shares: np.ndarray, draws: int) -> tuple[float, float]:
    """Return the statistic of counts under shares, and a value that one in a million exceeds.

    Tokens that are expected fewer than ten times are one class. The quantile is Wilson and
    Hilferty's.
    """
    expected = shares * draws
    common = expected >= 10
    seen = np.append(counts[common], counts[~common].sum())
    hoped = np.append(expected[common], expected[~common].sum())
    seen, hoped = seen[hoped > 0], hoped[hoped > 0]
    freedom = max(1, seen.size - 1)
    spread = 2 / (9 * freedom)
    limit = freedom * (1 - spread + 4.75 * spread**0.5) ** 3
    return float(((seen - hoped) ** 2 / hoped).sum()), float(limit)


@pytest.mark.parametrize("size", [300, 2500])
@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 0.8), (1.0, 1.0), (1.5, 0.95)])
def test_draws_follow_the_distribution(size: int, temperature: float, top_p: float) -> None:
    """Chi-square over many draws; the same draws tell another top_p and temperature apart."""
    rng = np.random.default_rng(size)
    logits = rng.normal(0, 2, size)
    probabilities = softened(logits, temperature)
    draws, counts = 6000, np.zeros(size)
    found = masses(probabilities.astype(np.float32))
    for uniform in rng.random(draws, dtype=np.float32):
        counts[draw(probabilities.astype(np.float32), uniform, top_p, found)] += 1
    shares = nucleus_shares(probabilities, top_p)
    assert counts[shares == 0].sum() == 0
    statistic, limit = chi_square(counts, shares, draws)
    assert statistic < limit
    for wrong in (
        nucleus_shares(probabilities, top_p * 0.9),
        nucleus_shares(softened(logits, temperature * 1.15), top_p),
    ):
        statistic, limit = chi_square(counts, wrong, draws)
        assert statistic > limit or counts[wrong == 0].sum() > 0


@pytest.mark.parametrize(
    ("top_p", "shares"),
    [
        (1.0, {3: 0.5, 1: 0.25, 0: 0.125, 4: 0.125}),
        # A nucleus of one half is the likeliest token alone, and web-llm's lowest top_p too.
        (0.5, {3: 1.0}),
        (1e-5, {3: 1.0}),
        (0.51, {3: 2 / 3, 1: 1 / 3}),
        (0.75, {3: 2 / 3, 1: 1 / 3}),
        # Of two equal tokens the lower id comes first, as in a stable sort.
        (0.8, {3: 4 / 7, 1: 2 / 7, 0: 1 / 7}),
        (0.876, {3: 0.5, 1: 0.25, 0: 0.125, 4: 0.125}),
    ],
)
def test_shares_of_an_example_are_exact(top_p: float, shares: dict[int, float]) -> None:
    found = masses(EXAMPLE)
    steps = 840
    drawn = [draw(EXAMPLE, (step + 0.5) / steps, top_p, found) for step in range(steps)]
    assert {token: drawn.count(token) / steps for token in set(drawn)} == pytest.approx(
        shares, abs=1.5 / steps
    )


@pytest.mark.parametrize("size", [7, 1024, 1025, 5000])
@pytest.mark.parametrize("top_p", [0.25, 0.5, 0.999])
def test_equal_probabilities_go_by_id(size: int, top_p: float) -> None:
    flat = np.full(size, 1 / size, dtype=np.float32)
    found = masses(flat)
    drawn = {draw(flat, uniform, top_p, found) for uniform in np.linspace(0, 0.99999, 400)}
    # Sums in float32 may move the cut by a token.
    assert size * top_p - 2 - size / 100 < max(drawn) <= size * top_p + 1
    assert min(drawn) <= size / 100


@pytest.mark.parametrize("size", [7, 256, 5000])
def test_one_sure_token_is_chosen_whatever_the_number(size: int) -> None:
    """What softmax leaves at web-llm's temperature 0."""
    sure = np.zeros(size, dtype=np.float32)
    sure[size // 2] = 1.0
    for top_p in (1e-5, 0.8, 1.0):
        assert {draw(sure, uniform, top_p) for uniform in (0.0, 0.5, 0.9999999)} == {size // 2}


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_no_token_is_said_when_there_is_none(value: float) -> None:
    assert draw(np.full(300, value, dtype=np.float32), 0.5, 0.9) == -1


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sharpness=st.floats(0.01, 30),
    uniform=st.floats(0, 0.9999999),
    top_p=st.floats(1e-5, 1),
    size=st.sampled_from([7, 256, 1300]),
)
def test_choice_keeps_to_the_nucleus(
    seed: int, sharpness: float, uniform: float, top_p: float, size: int
) -> None:
    logits = np.random.default_rng(seed).normal(0, sharpness, size)
    probabilities = softened(logits, 1.0).astype(np.float32)
    chosen = draw(probabilities, uniform, top_p)
    assert probabilities[chosen] > 0
    # What precedes the token in the order of a sort is less than top_p, up to rounding.
    likelier = probabilities[probabilities > probabilities[chosen]].astype(np.float64).sum()
    assert likelier < top_p + 1e-5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-30, 0.1, 0.5, 1.0]), min_size=300, max_size=300))
def test_masses_add_up_by_exponent(values: list[float]) -> None:
    row = np.asarray(values, dtype=np.float32)
    found = masses(row)
    assert found[0, nucleus.PEAK] == row.max()
    expected = np.zeros(nucleus.BUCKETS)
    # 1 is in [1, 2), 0.5 in [1/2, 1), 0.1 in [1/16, 1/8).
    for value, bucket in ((1.0, 0), (0.5, 1), (0.1, 4), (1e-30, nucleus.BUCKETS - 1)):
        expected[bucket] = np.float32(value) * values.count(value)
    np.testing.assert_allclose(found[0, : nucleus.BUCKETS], expected, rtol=1e-5)
