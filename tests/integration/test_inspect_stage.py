"""``inspect``: what it says of rows is what training then does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.evaluation.inspection import histogram, planned
from webslm.schema import AugmentConf, InspectStageConf
from webslm.stages import inspect


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.make_base(tmp_path_factory.mktemp("inspect") / "base", seed=1)


def look(folder: Path, base: Path, **lora: Any) -> dict[str, Any]:
    data = training.make_data(folder / "data")
    out = folder / "inspect"
    out.mkdir()
    conf = InspectStageConf(lora=replace(training.LORA, **lora), context_window_size=512)
    inspect.run(conf, {"base": base, "data": data}, out, training.context(folder))
    found: dict[str, Any] = json.loads((out / "inspect.json").read_text(encoding="utf-8"))
    return found


def test_marked_text_is_the_answers_and_nothing_else(tmp_path: Path, base: Path) -> None:
    found = look(tmp_path, base)
    several = next(item for item in found["samples"] if item["line"] == 5)
    learnt = [piece["text"] for piece in several["pieces"] if piece["loss"]]
    assert len(learnt) == 2
    assert learnt[0].startswith("Salt is a mineral that seasons food.")
    assert learnt[1].startswith("Pepper is a dried berry.")
    assert not any("What is salt?" in text for text in learnt)


def test_rows_above_the_limit_are_counted_with_their_lines(tmp_path: Path, base: Path) -> None:
    found = look(tmp_path, base, max_length=30)
    assert found["longest"] > 30
    assert 5 in found["too_long"]["lines"]
    assert sum(count for _, _, count in found["histogram"]) == 5


@pytest.mark.parametrize(
    ("batch", "accumulation", "epochs", "copies"), [(2, 1, 2.0, 0), (2, 2, 1.5, 0), (8, 1, 1, 2)]
)
def test_planned_steps_are_those_that_training_makes(
    tmp_path: Path, base: Path, batch: int, accumulation: int, epochs: float, copies: int
) -> None:
    how: dict[str, Any] = {
        "batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        "epochs": float(epochs),
    }
    how["augment"] = AugmentConf(copies=copies)
    found = look(tmp_path, base, **how)
    log = training.make_adapter(tmp_path / "adapter", base, tmp_path / "data", **how)
    assert found["plan"]["steps"] == log["steps"]


def test_histogram_holds_every_length_once() -> None:
    bins = histogram([7, 8, 99, 100])
    assert [count for first, last, count in bins if first <= 100 <= last] == [2]
    assert bins[0][0] == 7
    assert histogram([5]) == [[5, 5, 1]]
    assert sum(count for _, _, count in bins) == 4
    assert len(bins) <= 16
    assert planned(84, training.LORA)["rows_per_step"] == 2
