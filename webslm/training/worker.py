"""Own one process of a training by several: read the job, train, let the first one report.

Started by torchrun as ``python -m webslm.training.worker JOB``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.basics import child
from webslm.basics.fs import is_alive
from webslm.basics.keys import restored
from webslm.rows import artifact
from webslm.schema import Finetune, LaunchConf, LoraConf
from webslm.training import trainer
from webslm.training.processes import FIRST, PROGRESS, answer_file
from webslm.training.sft import Report


def main(path: Path) -> int:
    """Train and return the exit code; an error goes to a file that ``processes`` reads."""
    job = child.read_job(path)
    rank = int(os.environ["RANK"])
    return child.answer(answer_file(Path(job["work"]), rank), lambda: _train(job, rank))


def _train(job: Mapping[str, Any], rank: int) -> trainer.Training:
    return trainer.finetune(
        trainer.Job(
            base=Path(job["base"]),
            rows=artifact.learnt_rows(Path(job["data"])),
            method=Finetune[job["method"]],
            lora=restored(LoraConf, job["lora"]),
            launch=restored(LaunchConf, job["launch"]),
            seed=job["seed"],
            folder=Path(job["out"]),
        ),
        _report(Path(job["work"]), rank, job["owner"]),
    )


def _report(work: Path, rank: int, owner: int) -> Report:
    def report(step: int, steps: int, loss: float) -> None:
        if not is_alive(owner):
            # A killed build cannot stop its workers: they must not train on for nobody.
            os._exit(1)
        if rank == FIRST:
            with (work / PROGRESS).open("a", encoding="utf-8") as file:
                file.write(json.dumps([step, steps, loss]) + "\n")

    return report


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
