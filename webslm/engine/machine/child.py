"""Own one stage's run inside another Python: read the job, run, write what came of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm import schema
from webslm.basics import child
from webslm.basics.keys import restored
from webslm.basics.stage import Context
from webslm.engine.machine.matrix import check_wheels


def main(job: Path) -> None:
    """Do what a job of ``toolchain.run_stage`` says; a user's error is an answer too."""
    child.answer(job.with_name(child.ANSWER), lambda: _run(child.read_job(job)))


def _run(job: Mapping[str, Any]) -> Any:
    check_wheels(job["wheels"], "the compiler's own Python")
    conf = restored(getattr(schema, job["kind"]), job["conf"])
    ctx = Context(cache_dir=Path(job["cache_dir"]), log_dir=Path(job["log_dir"]))
    stage = importlib.import_module(f"webslm.stages.{job['stage']}")
    return stage.run(conf, {}, Path(job["out"]), ctx)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
