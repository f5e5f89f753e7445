"""Own the lockfile next to an output: what was built, from what, with what; write and check it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm.errors import CacheCorrupt, ConfigError
from webslm.fs import write_text
from webslm.keys import file_digest, plain
from webslm.matrix import installed, machine
from webslm.plan import Step
from webslm.schema import Config
from webslm.stage import Result

SCHEMA = 1
LOCK_NAME = "webslm.lock.json"
BUNDLE = "bundle"


def make_lock(
    cfg: Config, command: Sequence[str], steps: Sequence[Step], results: Sequence[Result]
) -> dict[str, Any]:
    """Return the lock of a finished build as plain JSON.

    ``outputs`` holds the files next to the lock; ``stages`` what every step was and made.
    """
    by_stage = {result.stage: result for result in results}
    stages = {
        step.stage: _stage_entry(step, by_stage[step.stage])
        for step in steps
        if step.stage in by_stage
    }
    bundle = by_stage.get(BUNDLE)
    base = by_stage.get("base")
    return {
        "schema": SCHEMA,
        "name": cfg.name,
        "command": list(command),
        "config": plain(cfg),
        "matrix": versions(cfg, steps, results),
        "base": {
            "name": cfg.base.name,
            "id": cfg.base.hub.id,
            "commit": cfg.base.hub.revision,
            "licence": cfg.base.licence,
            "files": {} if base is None else _files(base.path),
        },
        "data": {
            key: digest
            for step in steps
            if step.stage == "data"
            for key, digest in step.files.items()
        },
        "seed": cfg.seed,
        "stages": stages,
        "metrics": {result.stage: dict(result.metrics) for result in results},
        "outputs": {} if bundle is None else _files(bundle.path, prefix=f"{BUNDLE}/"),
    }


def versions(cfg: Config, steps: Sequence[Step], results: Sequence[Result]) -> dict[str, Any]:
    """Return the version matrix: every version that took part in a build."""
    verify = next((result for result in results if result.stage == "verify"), None)
    return {
        **machine(),
        "row": cfg.runtime.name,
        "wheels": installed(sorted({name for step in steps for name in step.wheels})),
        "web_llm": cfg.runtime.web_llm,
        "web_llm_integrity": cfg.runtime.web_llm_integrity,
        "browser": None if verify is None else verify.metrics.get("browser"),
    }


def write_lock(folder: Path, lock: Mapping[str, Any]) -> None:
    """Write the lock next to the output it describes: sorted, one value a line."""
    write_text(folder / LOCK_NAME, json.dumps(lock, indent=1, sort_keys=True) + "\n")


def read_lock(folder: Path) -> dict[str, Any]:
    """Return the lock of an output folder.

    Raises:
        ConfigError: There is none, or another program wrote it.
        CacheCorrupt: It is no JSON object.
    """
    path = folder / LOCK_NAME
    if not path.is_file():
        raise ConfigError(
            f"{folder}: no {LOCK_NAME}", hint="name an output folder, such as outputs/NAME"
        )
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise CacheCorrupt(f"{path}: not JSON ({exc})", hint="build it again") from exc
    if not isinstance(lock, dict) or not isinstance(lock.get("outputs"), dict):
        raise CacheCorrupt(f"{path}: not a lock", hint="build it again")
    if lock.get("schema") != SCHEMA:
        raise ConfigError(
            f"{path}: schema {lock.get('schema')!r}, this webslm reads {SCHEMA}",
            hint="use the webslm that wrote it",
        )
    return lock


def check_lock(folder: Path) -> int:
    """Hash every output again; return how many files are as the lock says.

    Raises:
        CacheCorrupt: Names every missing, changed and extra file.
    """
    outputs = read_lock(folder)["outputs"]
    problems = []
    for name, entry in sorted(outputs.items()):
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif path.stat().st_size != entry["size"]:
            problems.append(f"{name} has {path.stat().st_size} bytes, not {entry['size']}")
        elif file_digest(path) != entry["sha256"]:
            problems.append(f"{name} has other bytes than were built")
    present = {
        path.relative_to(folder).as_posix()
        for path in (folder / BUNDLE).rglob("*")
        if path.is_file()
    }
    problems += [f"{name} is not in the lock" for name in sorted(present - set(outputs))]
    if problems:
        raise CacheCorrupt("; ".join(problems), hint="run the lock's command to restore the output")
    return len(outputs)


def _stage_entry(step: Step, result: Result) -> dict[str, Any]:
    return {
        "key": step.key,
        "inputs": dict(step.files),
        "wheels": dict(step.wheels),
        "seconds": result.seconds,
        "peak_rss_bytes": result.peak_rss_bytes,
        "files": _files(result.path),
    }


def _files(folder: Path, prefix: str = "") -> dict[str, dict[str, Any]]:
    manifest = json.loads((folder.parent / "artifact.json").read_text(encoding="utf-8"))
    return {
        prefix + name: {"sha256": entry["sha256"], "size": entry["size"]}
        for name, entry in sorted(manifest["files"].items())
    }
