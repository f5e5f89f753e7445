"""A training that is killed goes on, and ends with the bytes of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.stage import SilentProgress
from webslm.schema import Finetune, FinetuneStageConf, LaunchConf
from webslm.stages import finetune
from webslm.training.snapshots import MANIFEST, PREFIX, Snapshots

# Dropout draws random numbers in every step; accumulation makes steps end in the middle of epochs.
CHANGES: dict[str, Any] = {
    "dropout": 0.2,
    "batch_size": 1,
    "gradient_accumulation_steps": 2,
    "lr_scheduler": "cosine",
    "neftune_alpha": 5.0,
}
TRAIN = """
import json, sys
from pathlib import Path
from tests import training
out, base, data, scratch, changes = sys.argv[1:]
paths = [Path(out), Path(base), Path(data)]
training.make_adapter(*paths, scratch=Path(scratch), **json.loads(changes))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("resume")
    return training.make_base(folder / "base"), training.make_data(folder / "data")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def steps_kept(scratch: Path) -> int:
    """Return how many steps the newest checkpoint holds."""
    names = [path.name for path in scratch.glob(f"{PREFIX}*")]
    return max((int(name.removeprefix(PREFIX)) for name in names), default=0)


def kill_after(
    step: int, delay_s: float, out: Path, inputs: tuple[Path, Path], scratch: Path, epochs: float
) -> int:
    """Train in a process of its own, kill it some time after a step; return what was kept."""
    words = [str(out), *map(str, inputs), str(scratch), json.dumps({**CHANGES, "epochs": epochs})]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", TRAIN, *words], env=env, cwd=out.parent)
    while process.poll() is None and steps_kept(scratch) < step:
        time.sleep(0.001)
    time.sleep(delay_s)
    assert process.poll() is None, "the training ended before it was killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return steps_kept(scratch)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_training_ends_with_the_bytes_of_an_undisturbed_one(
    inputs: tuple[Path, Path], tmp_path: Path, kills: int
) -> None:
    epochs = 12.0 * kills  # 3 steps each
    moments = random.Random(kills)
    scratch, step = tmp_path / "scratch", 0
    for number in range(kills):
        step += moments.randint(3, 24)
        delay_s = moments.uniform(0, 0.2)
        step = kill_after(step, delay_s, tmp_path / f"{number}", inputs, scratch, epochs)
    log = training.make_adapter(
        tmp_path / "killed", *inputs, scratch=scratch, epochs=epochs, **CHANGES
    )
    assert step < log["steps"] == 3 * epochs
    training.make_adapter(tmp_path / "whole", *inputs, epochs=epochs, **CHANGES)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


class Stopper(SilentProgress):
    """Ends a training by an exception before the checkpoint of a step is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def update(self, done: float, total: float, message: str = "") -> None:
        if done == self.step:
            raise InterruptedError


def test_every_checkpoint_leads_to_the_same_end(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    """Also that after the last step of an epoch."""
    whole = training.make_adapter(tmp_path / "whole", *inputs, **CHANGES)
    base, data = inputs
    lora = replace(training.LORA, **CHANGES)
    conf = FinetuneStageConf(lora=lora, seed=0, launch=LaunchConf(checkpoint_seconds=0))
    ctx = replace(training.context(tmp_path), scratch_dir=tmp_path / "scratch")
    for step in range(2, whole["steps"] + 1):
        out = tmp_path / f"{step}"
        out.mkdir()
        stopped = replace(ctx, progress=Stopper(step))
        with pytest.raises(InterruptedError):
            finetune.run(conf, {"base": base, "data": data}, out, stopped)
        assert not list(out.iterdir())
        assert steps_kept(tmp_path / "scratch") == step - 1
    # Twice, as after a kill between the end of training and the store's commit.
    for name in ("goes on", "was done"):
        (tmp_path / name).mkdir()
        metrics = finetune.run(conf, {"base": base, "data": data}, tmp_path / name, ctx)
        assert metrics["resumed_at"] == whole["steps"] - 1
        assert contents(tmp_path / name) == contents(tmp_path / "whole")


@pytest.mark.parametrize("method", [Finetune.dora, Finetune.full])
def test_other_methods_go_on_too(
    inputs: tuple[Path, Path], tmp_path: Path, method: Finetune
) -> None:
    base, data = inputs
    changes = {**CHANGES, "learning_rate": 1e-3}
    training.make_adapter(tmp_path / "whole", *inputs, method=method, **changes)
    conf = FinetuneStageConf(
        lora=replace(training.LORA, **changes),
        seed=0,
        method=method,
        launch=LaunchConf(checkpoint_seconds=0),
    )
    ctx = replace(training.context(tmp_path), scratch_dir=tmp_path / "scratch")
    for name in ("stopped", "on"):
        (tmp_path / name).mkdir()
    stopped = replace(ctx, progress=Stopper(5))
    with pytest.raises(InterruptedError):
        finetune.run(conf, {"base": base, "data": data}, tmp_path / "stopped", stopped)
    metrics = finetune.run(conf, {"base": base, "data": data}, tmp_path / "on", ctx)
    assert metrics["resumed_at"] == 4
    assert contents(tmp_path / "on") == contents(tmp_path / "whole")


def test_damaged_checkpoint_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Snapshots(tmp_path, 0)
    assert kept.newest() is None
    for step in (1, 2):
        written = kept.work / f"checkpoint-{step}"
        written.mkdir()
        (written / "weights").write_text(f"of step {step}")
        kept.keep(written, step)
    newest = kept.newest()
    assert newest is not None
    assert [path.name for path in tmp_path.glob(f"{PREFIX}*")] == [newest.name]
    assert (newest / "weights").read_text() == "of step 2"
    (newest / "weights").write_text("of step 3")
    assert kept.newest() is None
    assert "weights has other bytes" in caplog.text
    assert not newest.exists()
    # Killed while it was written: no list of what belongs to it.
    newest.mkdir()
    (newest / "weights").write_text("half")
    assert kept.newest() is None
    assert MANIFEST in caplog.text
    kept.close()
    assert not list(tmp_path.iterdir())
