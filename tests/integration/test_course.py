"""How long a training runs: early stopping on held-out loss, and a budget of minutes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.errors import ConfigError
from webslm.basics.stage import SilentProgress
from webslm.schema import FinetuneStageConf, LaunchConf
from webslm.stages import finetune

STEPS = 3
"""Five rows in batches of two: steps of an epoch."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("course")
    data = training.make_data(folder / "data")
    held_out = [dict(row) for row in training.rows()[:2]]
    # Answers that training moves away from: their loss falls at first, then rises.
    held_out[0] = {"messages": [*held_out[0]["messages"][:2], held_out[1]["messages"][2]]}
    text = "".join(json.dumps(row) + "\n" for row in held_out)
    (data / "held_out.jsonl").write_text(text, encoding="utf-8")
    return {"base": training.make_base(folder / "base"), "data": data}


class Listener(SilentProgress):
    """Keeps what was said, and ends a training by an exception at a step."""

    def __init__(self, last: int = 0) -> None:
        self.said: list[str] = []
        self._last = last

    def note(self, message: str) -> None:
        self.said.append(message)

    def update(self, done: float, total: float, message: str = "") -> None:
        if done == self._last:
            raise InterruptedError


def tune(
    out: Path,
    inputs: dict[str, Path],
    scratch: Path | None = None,
    progress: Listener | None = None,
    **changes: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run ``finetune`` into ``out``; return its metrics and its log."""
    out.mkdir()
    conf = FinetuneStageConf(
        lora=replace(training.LORA, **{"dropout": 0.1, **changes}),
        seed=0,
        launch=LaunchConf(checkpoint_seconds=0),
    )
    ctx = replace(
        training.context(out.parent), scratch_dir=scratch, progress=progress or Listener()
    )
    metrics = dict(finetune.run(conf, inputs, out, ctx))
    return metrics, json.loads((out / "train_log.json").read_text())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_training_ends_when_held_out_rows_get_no_better_and_keeps_the_best(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"epochs": 40.0, "lr_scheduler": "constant"}
    metrics, log = tune(tmp_path / "a", inputs, early_stopping_patience=2, **changes)
    curve = {int(step): loss for step, loss in log["held_out"]}
    best = min(curve, key=lambda step: curve[step])
    assert list(curve) == list(range(STEPS, log["steps"] + 1, STEPS))
    assert metrics["kept_step"] == log["kept_step"] == best
    assert log["steps"] == best + 2 * STEPS < 40 * STEPS
    # What is kept are the weights of that step: a training that ends there has the same.
    tune(tmp_path / "b", inputs, max_steps=best, **changes)
    name = "adapter_model.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    # Killed and resumed at the worst places: before and after the best epoch, and near the end.
    scratch = tmp_path / "scratch"
    for stop in (best, best + 1, best + STEPS + 1, log["steps"]):
        with pytest.raises(InterruptedError):
            tune(
                tmp_path / f"{stop}", inputs, scratch, Listener(stop),
                early_stopping_patience=2, **changes,
            )  # fmt: skip
    tune(tmp_path / "on", inputs, scratch, early_stopping_patience=2, **changes)
    assert contents(tmp_path / "on") == contents(tmp_path / "a")


def test_nothing_to_stop_by_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    data = training.make_data(tmp_path / "data")
    (data / "held_out.jsonl").write_text("")
    with pytest.raises(ConfigError, match="there are no held-out rows to stop by"):
        tune(tmp_path / "a", {**inputs, "data": data}, early_stopping_patience=1)


def test_budget_plans_steps_and_says_what_it_left_out(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    """Budgets so small and so large that no clock decides."""
    heard = Listener()
    metrics, log = tune(tmp_path / "a", inputs, progress=heard, budget_minutes=1e-9, epochs=4.0)
    assert heard.said == ["1e-09 minutes fit 1 of 12 steps; 3 rows are never seen"]
    assert metrics["budget"] == log["planned"] == heard.said[0]
    assert log["steps"] == 1
    metrics, log = tune(tmp_path / "b", inputs, budget_minutes=1e6, epochs=4.0)
    assert metrics["budget"] == "1e+06 minutes fit 12 of 12 steps: nothing is left out"
    # Trying batches for the plan teaches nothing and draws no random number of the training.
    tune(tmp_path / "c", inputs, epochs=4.0)
    name = "adapter_model.safetensors"
    assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()
