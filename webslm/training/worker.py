"""Own one process of a training by several: read the job, train, let the first one report.

Started by torchrun as ``python -m webslm.training.worker JOB``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webslm.basics.errors import WebslmError
from webslm.basics.fs import is_alive, write_text
from webslm.rows import artifact
from webslm.schema import (
    Arithmetic,
    AugmentConf,
    Aware,
    Device,
    Finetune,
    LaunchConf,
    LoraConf,
    Loss,
    Sharding,
)
from webslm.training import trainer
from webslm.training.sft import Report

FIRST = 0


def main(path: Path) -> int:
    """Train and return the exit code; an error goes to a file that ``processes`` reads."""
    job = json.loads(path.read_text(encoding="utf-8"))
    work, rank = Path(job["work"]), int(os.environ["RANK"])
    try:
        done = trainer.finetune(
            trainer.Job(
                base=Path(job["base"]),
                rows=artifact.learnt_rows(Path(job["data"])),
                method=Finetune[job["method"]],
                lora=_lora(job["lora"]),
                launch=_launch(job["launch"]),
                seed=job["seed"],
                folder=Path(job["out"]),
            ),
            _report(work, rank, job["owner"]),
        )
    except WebslmError as exc:
        said = {"kind": type(exc).__name__, "message": exc.message, "hint": exc.hint}
        write_text(work / f"{rank:04d}-error.json", json.dumps(said))
        return exc.exit_code
    if rank == FIRST:
        write_text(work / "result.json", json.dumps(asdict(done)))
    return 0


def _report(work: Path, rank: int, owner: int) -> Report:
    def report(step: int, steps: int, loss: float) -> None:
        if not is_alive(owner):
            # A killed build cannot stop its workers: they must not train on for nobody.
            os._exit(1)
        if rank == FIRST:
            with (work / "progress.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps([step, steps, loss]) + "\n")

    return report


def _lora(values: Mapping[str, Any]) -> LoraConf:
    chosen = {
        "loss": Loss[values["loss"]],
        "device": Device[values["device"]],
        "quantization_aware": Aware[values["quantization_aware"]],
        "precision": Arithmetic[values["precision"]],
        "augment": AugmentConf(**values["augment"]),
    }
    return LoraConf(**{**values, **chosen})


def _launch(values: Mapping[str, Any]) -> LaunchConf:
    return LaunchConf(**{**values, "sharding": Sharding[values["sharding"]]})


def leave(code: int) -> None:
    """End this process with ``code``; whatever it had to say is written by now."""
    import torch.distributed

    if code == 0 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    # The interpreter's own shut-down races with the group's threads and was seen to abort.
    os._exit(code)


if __name__ == "__main__":
    leave(main(Path(sys.argv[1])))
