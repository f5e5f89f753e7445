"""Own what a process and one that it started write for each other: a job, then its answer.

Both are JSON files in a folder that the starter made. An answer is a result or the error that a
user is told; a process that writes none was lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from webslm.basics import errors
from webslm.basics.errors import StageFailed, WebslmError
from webslm.basics.fs import write_text
from webslm.basics.keys import plain

JOB, ANSWER = "job.json", "answer.json"


def write_job(folder: Path, job: Mapping[str, Any]) -> Path:
    """Write what a process is to do; dataclasses and enums become plain. Return the file."""
    write_text(folder / JOB, json.dumps(plain(job), indent=1))
    return folder / JOB


def read_job(file: Path) -> dict[str, Any]:
    """Return what this process is to do; ``keys.restored`` makes dataclasses of its parts."""
    job: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return job


def answer(file: Path, work: Callable[[], Any]) -> int:
    """Do the work, write its result or the user's error, and return the exit code."""
    try:
        told, code = {"result": plain(work())}, 0
    except WebslmError as exc:
        told = {"error": {"kind": type(exc).__name__, "message": exc.message, "hint": exc.hint}}
        code = exc.exit_code
    write_text(file, json.dumps(told))
    return code


def result(file: Path, log_path: Path | None = None) -> Any:
    """Return the result that a process wrote.

    Raises:
        WebslmError: The one that was raised there.
        OSError: There is no answer.
    """
    told = json.loads(file.read_text(encoding="utf-8"))
    if "error" in told:
        raise _error(told["error"], log_path)
    return told["result"]


def _error(told: Mapping[str, Any], log_path: Path | None) -> WebslmError:
    kind = getattr(errors, str(told["kind"]), None)
    if not (isinstance(kind, type) and issubclass(kind, WebslmError)):
        kind = StageFailed
    return kind(told["message"], hint=told["hint"], log_path=log_path)
