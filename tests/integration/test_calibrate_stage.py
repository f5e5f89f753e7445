"""``calibrate``: what activations reach decides the precision, and the build follows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests import training
from tests.integration.conftest import SMALL, read_report, run_build
from webslm.basics.errors import StageFailed
from webslm.basics.stage import Metrics
from webslm.schema import BaseStageConf, CalibrateStageConf, Weights
from webslm.stages import base, calibrate
from webslm.training.loaded import load_model


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "merge"
    folder.mkdir()
    conf = training.base_conf(weights=Weights.random)
    base.run(BaseStageConf(base=conf, seed=0), {}, folder, training.context(tmp_path))
    return folder


def measured(root: Path, checkpoint: Path) -> tuple[Metrics, dict[str, object]]:
    data = root / "data"
    if not data.exists():
        training.make_data(data)
    (root / "out").mkdir(exist_ok=True)
    inputs = {"merge": checkpoint, "data": data}
    facts = calibrate.run(CalibrateStageConf(), inputs, root / "out", training.context(root))
    return facts, json.loads((root / "out" / "calibration.json").read_text(encoding="utf-8"))


def scaled(checkpoint: Path, factor: float) -> None:
    """Multiply what the second layer's gated part computes."""
    model = load_model(checkpoint)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.mul_(factor)
    model.save_pretrained(checkpoint)


def test_small_activations_allow_float16(tmp_path: Path, checkpoint: Path) -> None:
    facts, document = measured(tmp_path, checkpoint)
    assert facts["dtype"] == "float16"
    assert 0 < float(str(facts["largest"])) < calibrate.LIMIT / calibrate.HEADROOM
    assert facts["rows"] == len(training.rows())
    assert document["reason"] == facts["reason"]


def test_a_large_activation_is_found_where_it_is_and_needs_float32(
    tmp_path: Path, checkpoint: Path
) -> None:
    before, document = measured(tmp_path, checkpoint)
    inner = document["highest"]["model.layers.1.mlp.down_proj.in"]  # type: ignore[index]
    # The product of gate and up just above the safe quarter; float32 must be chosen.
    scaled(checkpoint, 1.01 * calibrate.LIMIT / calibrate.HEADROOM / inner)
    facts, document = measured(tmp_path, checkpoint)
    assert (before["dtype"], facts["dtype"]) == ("float16", "float32")
    found = document["highest"]["model.layers.1.mlp.down_proj.in"]  # type: ignore[index]
    assert found == pytest.approx(1.01 * calibrate.LIMIT / calibrate.HEADROOM, rel=1e-3)
    assert str(facts["reason"]).startswith("float32: the largest activation")


def test_a_number_that_is_none_is_an_error(tmp_path: Path, checkpoint: Path) -> None:
    scaled(checkpoint, float("nan"))
    with pytest.raises(StageFailed, match="no finite number in float32"):
        measured(tmp_path, checkpoint)


@pytest.mark.slow
def test_auto_build_writes_its_choice_and_reason_into_the_lock(tmp_path: Path) -> None:
    words = (*SMALL, "quant=auto", "until=convert", "output_dir=out")
    cache = tmp_path / "cache"
    dry = run_build(*words, "dry_run=true", cwd=tmp_path, cache=cache)
    assert dry.returncode == 0, dry.stderr
    assert "the rest follows from what calibrate finds" in dry.stdout
    done = run_build(*words, cwd=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr + done.stdout
    lock = json.loads((tmp_path / "out" / "webslm.lock.json").read_text(encoding="utf-8"))
    assert lock["config"]["quant"]["name"] == "q4f16_1"
    assert lock["metrics"]["calibrate"]["reason"].startswith("float16: the largest activation")
    again = run_build(*words, cwd=tmp_path, cache=cache)
    assert again.returncode == 0, again.stderr
    assert {step["status"] for step in read_report(tmp_path / "out")["steps"]} == {"hit"}
