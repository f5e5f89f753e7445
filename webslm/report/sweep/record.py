"""Own what one job of a sweep leaves behind: job.json in its folder, however the job ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError, WebslmError
from webslm.basics.fs import write_text
from webslm.basics.stage import Result
from webslm.report.sweep.measures import measures

NAME = "job.json"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One job as JSON."""

    number: int
    name: str
    swept: Mapping[str, str]
    """Swept key to value as written."""
    output_dir: str
    ok: bool
    seconds: float
    exit_code: int = 0
    error: Mapping[str, Any] | None = None
    """kind, stage, problems as [message, hint]."""
    stages: Sequence[Mapping[str, Any]] = ()
    """stage, key, status and seconds of every step."""
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def executed(self) -> int:
        """Return how many stages this job ran itself."""
        return sum(step["status"] == "ran" for step in self.stages)


def steps_of(results: Sequence[Result]) -> dict[str, Any]:
    """Return the fields of a record that come from a build's results."""
    return {
        "stages": [
            {
                "stage": result.stage,
                "key": result.key,
                "status": result.status.value,
                "seconds": result.seconds,
            }
            for result in results
        ],
        "measures": measures(results),
    }


def failure(error: BaseException, stage: str | None) -> dict[str, Any]:
    """Return the fields of a record that say why a job failed."""
    if isinstance(error, ConfigError):
        problems = [list(problem) for problem in error.problems]
    elif isinstance(error, WebslmError):
        problems = [[error.message, error.hint]]
    else:
        problems = [[f"a bug: {type(error).__name__}: {error}", None]]
    code = error.exit_code if isinstance(error, WebslmError) else 1
    return {
        "exit_code": code,
        "error": {"kind": type(error).__name__, "stage": stage, "problems": problems},
    }


def write_record(folder: Path, record: Record) -> None:
    """Write job.json whole."""
    write_text(folder / NAME, json.dumps(asdict(record), indent=1, sort_keys=True) + "\n")


def read_records(folder: Path) -> list[Record]:
    """Return the records below a sweep's folder by job number."""
    found = [
        Record(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob(f"*/{NAME}")
    ]
    return sorted(found, key=lambda record: record.number)


def forget_records(folder: Path) -> None:
    """Remove what an earlier run of the same sweep recorded."""
    for path in folder.glob(f"*/{NAME}"):
        path.unlink()
