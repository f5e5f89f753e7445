"""``finetune`` by several processes: two on the CPU through gloo."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed, WebslmError
from webslm.schema import FinetuneStageConf, LaunchConf, Sharding

TWO = LaunchConf(processes=2)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("processes")
    data = training.make_data(folder / "data", training.rows() * 4)
    return training.make_base(folder / "base"), data


def tune(
    folder: Path, inputs: tuple[Path, Path], launch: LaunchConf = TWO, **changes: Any
) -> dict[str, Any]:
    from webslm.stages import finetune

    folder.mkdir(parents=True)
    lora = replace(training.LORA, **{"batch_size": 4, **changes})
    conf = FinetuneStageConf(lora=lora, seed=0, launch=launch)
    base, data = inputs
    finetune.run(conf, {"base": base, "data": data}, folder, training.context(folder.parent))
    log: dict[str, Any] = json.loads((folder / "train_log.json").read_text())
    return log


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    found: dict[str, Any] = load_file(folder / "adapter_model.safetensors")
    return found


def test_two_processes_learn_what_one_learns(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    one = tune(tmp_path / "one", inputs, LaunchConf(), epochs=4.0)
    two = tune(tmp_path / "two", inputs, epochs=4.0)
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "train_log.json",
    ]
    assert two["steps"] == one["steps"] == 20  # batches of 4 of 20 rows: the same global batch
    assert two["lr"] == one["lr"]
    losses = [[loss for _, loss in log["loss"]] for log in (one, two)]
    assert losses[1] == pytest.approx(losses[0], abs=2e-3)
    assert losses[1][-1] < losses[1][0]
    alone, together = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert set(alone) == set(together)
    for name, tensor in alone.items():
        assert together[name] == pytest.approx(tensor, abs=2e-3), name
    # What the other stages read is the same adapter: it merges like any other.
    merged = training.make_merged(tmp_path / "merged", inputs[0], tmp_path / "two", inputs[1])
    assert merged["changed_tensors"] > 0


@pytest.mark.slow
def test_two_processes_share_accumulation_and_repeat_their_bytes(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"batch_size": 3, "gradient_accumulation_steps": 2, "epochs": 1.0}
    one = tune(tmp_path / "one", inputs, LaunchConf(), **changes)
    logs = [tune(tmp_path / name, inputs, **changes) for name in ("a", "b")]
    assert logs[0] == logs[1]
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]
    assert logs[0]["steps"] == one["steps"]
    # The last step's few rows fall to the processes otherwise; those before are the same batches.
    whole = len(one["loss"]) - 1
    assert [loss for _, loss in logs[0]["loss"][:whole]] == pytest.approx(
        [loss for _, loss in one["loss"][:whole]], abs=2e-3
    )


@pytest.mark.slow
def test_what_a_process_says_arrives_as_one_sentence(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"train\.jsonl line \d+ has \d+ tokens, 60 are") as seen:
        tune(tmp_path / "a", inputs, max_length=60)
    assert "\n" not in seen.value.message
    assert not list((tmp_path / "a").iterdir())
    assert not list((tmp_path / "cache" / "work").iterdir())


def workers(work: Path) -> dict[int, int]:
    """Return process id by rank of the training processes whose job lies below ``work``."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_text().split("\0")
            rank = re.search(r"\0RANK=(\d+)\0", (entry / "environ").read_text())
        except OSError:
            continue
        if rank and any(word.startswith(str(work)) for word in words):
            found[int(rank.group(1))] = int(entry.name)
    return found


def test_lost_process_ends_in_one_sentence(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    raised: list[WebslmError] = []

    def train() -> None:
        try:
            tune(tmp_path / "a", inputs, epochs=200.0)
        except WebslmError as exc:
            raised.append(exc)

    thread = threading.Thread(target=train)
    thread.start()
    ranks: dict[int, int] = {}
    for _ in range(600):
        ranks = workers(tmp_path)
        if len(ranks) == 2 and list((tmp_path / "cache" / "work").glob("*/progress.jsonl")):
            break
        time.sleep(0.1)
    os.kill(ranks[1], signal.SIGKILL)
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert isinstance(raised[0], StageFailed)
    assert raised[0].message == (
        "finetune: a training process was lost: process 1 ended with code -9"
    )
    assert raised[0].log_path is not None
    assert raised[0].log_path.is_file()
    assert not workers(tmp_path)


def test_machine_without_gpus_cannot_shard(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    launch = LaunchConf(processes=2, sharding=Sharding.fsdp)
    with pytest.raises(EnvironmentMismatch, match="fsdp needs GPUs"):
        tune(tmp_path / "a", inputs, launch)
