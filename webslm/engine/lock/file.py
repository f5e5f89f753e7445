"""Own the lockfile next to an output: what was built, from what, with what; write and check it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm import __version__
from webslm.basics.errors import CacheCorrupt, ConfigError
from webslm.basics.fs import write_text
from webslm.basics.keys import file_digest, plain
from webslm.basics.stage import Result
from webslm.engine.lock import origin
from webslm.engine.machine.matrix import machine
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import read_artifact
from webslm.schema import Config

SCHEMA = 2
LOCK_NAME = "webslm.lock.json"
BUNDLE = "bundle"


def make_lock(
    cfg: Config, command: Sequence[str], steps: Sequence[Step], results: Sequence[Result]
) -> dict[str, Any]:
    """Return the lock of a finished build as plain JSON.

    ``outputs`` holds the files next to the lock; ``stages`` what every step was and made.
    """
    by_stage = {result.stage: result for result in results}
    keys = {step.stage: step.key for step in steps}
    stages = {
        step.stage: _stage_entry(step, keys, by_stage[step.stage])
        for step in steps
        if step.stage in by_stage
    }
    bundle = by_stage.get(BUNDLE)
    base = by_stage.get("base")
    return {
        "schema": SCHEMA,
        "webslm": __version__,
        "name": cfg.name,
        "command": list(command),
        "config": plain(cfg),
        "matrix": versions(cfg, steps, results),
        "base": {
            "name": cfg.base.name,
            "id": cfg.base.hub.id,
            "commit": origin.commit(cfg.base),
            "origin": origin.origin(cfg.base),
            "licence": cfg.base.licence,
            "files": {} if base is None else _files("base", base.path),
        },
        "data": {
            key: digest
            for step in steps
            if step.stage == "data"
            for key, digest in step.files.items()
        },
        "seed": cfg.seed,
        "sources": {
            name: digest
            for step in steps
            for name, digest in step.ingredients.get("code", {}).items()
        },
        "stages": stages,
        "metrics": {result.stage: dict(result.metrics) for result in results},
        "outputs": {} if bundle is None else _files(BUNDLE, bundle.path, prefix=f"{BUNDLE}/"),
    }


def versions(cfg: Config, steps: Sequence[Step], results: Sequence[Result]) -> dict[str, Any]:
    """Return the version matrix: every version that took part in a build."""
    verify = next((result for result in results if result.stage == "verify"), None)
    tools = next((r.metrics["tools"] for r in results if "tools" in r.metrics), None)
    return {
        **machine(),
        "row": cfg.runtime.name,
        # Checked before the build: here, or in the Python that compiled.
        "wheels": {name: version for step in steps for name, version in step.wheels.items()},
        "web_llm": cfg.runtime.web_llm,
        "web_llm_integrity": cfg.runtime.web_llm_integrity,
        "browser": None if verify is None else verify.metrics.get("browser"),
        **({} if tools is None else {"tools": tools}),
    }


def write_lock(folder: Path, lock: Mapping[str, Any]) -> None:
    """Write the lock next to the output it describes: sorted, one value a line."""
    write_text(folder / LOCK_NAME, json.dumps(lock, indent=1, sort_keys=True) + "\n")


def read_lock(folder: Path) -> dict[str, Any]:
    """Return the lock of an output folder, or of a lock file; older schemas are brought up.

    Raises:
        ConfigError: There is none, or another program wrote it.
        CacheCorrupt: It is no JSON object.
    """
    path = folder if folder.is_file() else folder / LOCK_NAME
    if not path.is_file():
        raise ConfigError(
            f"{folder}: no {LOCK_NAME}", hint="name an output folder, such as outputs/NAME"
        )
    try:
        lock: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise CacheCorrupt(f"{path}: not JSON ({exc})", hint="build it again") from exc
    if not isinstance(lock, dict) or not isinstance(lock.get("outputs"), dict):
        raise CacheCorrupt(f"{path}: not a lock", hint="build it again")
    if lock.get("schema") not in (*MIGRATIONS, SCHEMA):
        raise ConfigError(
            f"{path}: schema {lock.get('schema')!r}, this webslm reads {[*MIGRATIONS, SCHEMA]}",
            hint="use the webslm that wrote it",
        )
    read: dict[str, Any] = lock
    while read["schema"] != SCHEMA:
        read = MIGRATIONS[read["schema"]](read)
    return read


def _from_schema_1(lock: dict[str, Any]) -> dict[str, Any]:
    """Add what schema 2 records; None and empty where the older lock did not know."""
    stages = {
        stage: {"config": None, "needs": {}, "sources": None, "pinned": pinned(stage, {}), **entry}
        for stage, entry in lock.get("stages", {}).items()
    }
    matrix = {"vector_unit": "unknown", **lock.get("matrix", {})}
    return {
        "webslm": None,
        "sources": {},
        **lock,
        "schema": 2,
        "stages": stages,
        "matrix": matrix,
    }


MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_schema_1}
"""From an older schema to the next one."""


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


def _stage_entry(step: Step, keys: Mapping[str, str], result: Result) -> dict[str, Any]:
    return {
        "key": step.key,
        "config": step.ingredients.get("config"),
        "inputs": dict(step.files),
        "needs": {need: keys[need] for need in step.needs},
        "sources": step.sources,
        "wheels": dict(step.wheels),
        "pinned": pinned(step.stage, result.metrics),
        "seconds": result.seconds,
        "peak_rss_bytes": result.peak_rss_bytes,
        "files": _files(step.stage, result.path),
    }


def pinned(stage: str, metrics: Mapping[str, Any]) -> str | None:
    """Return why a stage's bytes cannot come out again, None where they do.

    Args:
        stage: The stage's name.
        metrics: What it returned; ``device`` says what trained.
    """
    if stage == "verify":
        return "measured in a browser: its times differ from run to run"
    device = metrics.get("device", "cpu")
    if device != "cpu":
        return f"trained on {device}: its sums round in another order from run to run"
    return None


def _files(stage: str, folder: Path, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Return digest and size of each file of an artifact's folder, as its manifest has them."""
    stored = read_artifact(folder.parent, stage)
    return {
        prefix + name: {"sha256": entry.sha256, "size": entry.size}
        for name, entry in sorted(stored.files.items())
    }
