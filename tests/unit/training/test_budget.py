"""What fits into a budget of minutes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from webslm.training.budget import SHARE, Plan, kept, plan
from webslm.training.order import batches

LENGTHS = [10] * 6 + [100] * 4


def made(minutes: float, **changes: Any) -> Plan:
    """Plan ten rows in batches of two, a second a row."""
    settings: dict[str, Any] = {
        "rows": 10,
        "accumulation": 1,
        "epoch_batches": 5,
        "steps": 15,
        "minutes": minutes,
        **changes,
    }

    def seconds(batch: Sequence[int]) -> float:
        return float(len(batch))

    return plan(batches(LENGTHS, 2, 0), seconds, **settings)


def minutes_of(seconds: float) -> float:
    """Return a budget of which so many seconds are planned with, and a little more."""
    return (seconds + 0.01) / SHARE / 60


@pytest.mark.parametrize(
    ("seconds", "steps", "left_out"), [(0.0, 1, 8), (2, 1, 8), (6, 3, 4), (10, 5, 0), (20, 10, 0)]
)
def test_as_many_steps_as_fit_and_at_least_one(seconds: float, steps: int, left_out: int) -> None:
    found = made(minutes_of(seconds))
    assert (found.steps, found.of, found.rows_left_out) == (steps, 15, left_out)


def test_no_more_steps_than_asked_for() -> None:
    found = made(1000)
    assert (found.steps, found.rows_left_out) == (15, 0)
    assert str(found) == "1000 minutes fit 15 of 15 steps: nothing is left out"


def test_steps_of_several_batches_end_with_the_epoch() -> None:
    """Five batches in steps of two: the third step of an epoch has one."""
    assert made(minutes_of(4), accumulation=2, steps=9).steps == 1
    assert made(minutes_of(10), accumulation=2, steps=9).steps == 3
    assert made(minutes_of(14), accumulation=2, steps=9).steps == 4
    assert made(minutes_of(20), accumulation=2, steps=9).steps == 6


def test_sentence_says_what_is_left_out() -> None:
    assert str(Plan(minutes=2, steps=3, of=15, rows_left_out=4)) == (
        "2 minutes fit 3 of 15 steps; 4 rows are never seen"
    )
    assert str(Plan(minutes=2, steps=9, of=15, rows_left_out=0)) == "2 minutes fit 9 of 15 steps"


def test_long_rows_cost_what_they_cost() -> None:
    def seconds(batch: Sequence[int]) -> float:
        return float(sum(LENGTHS[index] for index in batch))

    def order() -> Iterator[Sequence[int]]:
        return iter(batches(LENGTHS, 2, 0))

    whole = sum(LENGTHS)
    found = plan(
        order(), seconds, rows=10, accumulation=1, epoch_batches=5, steps=15,
        minutes=minutes_of(whole),
    )  # fmt: skip
    assert found.steps == 5
    first = list(itertools.islice(order(), 5))
    assert sum(seconds(batch) for batch in first) == whole


def test_plan_of_a_killed_training_is_kept(tmp_path: Path) -> None:
    plans = iter([Plan(minutes=1, steps=n, of=9, rows_left_out=0) for n in (3, 5, 7)])
    assert kept(tmp_path, lambda: next(plans)).steps == 3
    assert kept(tmp_path, lambda: next(plans)).steps == 3
    assert kept(None, lambda: next(plans)).steps == 5
