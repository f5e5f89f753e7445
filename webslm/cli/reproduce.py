"""Own building again from a lock alone, into an empty store, and the comparison with the lock."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm.basics.errors import CacheCorrupt, ConfigError
from webslm.basics.fs import copy_tree
from webslm.basics.stage import Result
from webslm.config.checks.machine import check_compiler, check_environment
from webslm.config.checks.preflight import preflight
from webslm.engine.executor import BuildFailed, Display, execute
from webslm.engine.lock.difference import compare, file_differences, first_byte
from webslm.engine.lock.file import BUNDLE, make_lock
from webslm.engine.look import Stores
from webslm.engine.plan import Step, plan
from webslm.engine.store.artifacts import Cache
from webslm.schema import Config


def reproduce(
    lock: Mapping[str, Any],
    cfg: Config,
    *,
    output: Path,
    store: Path,
    known: Cache,
    display: Display,
    own_tools: bool = False,
) -> list[str]:
    """Build what a lock describes into an empty store; return a line for every stage.

    Stops at the first stage whose files are not the lock's. A stage that the lock declares as
    pinned is not compared: one that was trained is taken from ``known`` when its hashes hold, a
    measured one runs again and must pass its gates.

    Args:
        lock: The lock.
        cfg: Its configuration.
        output: The folder it lies in; what was delivered there is compared too.
        store: An empty folder.
        known: The machine's store.
        display: Where the stages are shown.
        own_tools: Make the runtime objects and fetch web-llm anew as well.

    Raises:
        ConfigError: A file that the lock names is another one now.
        CacheCorrupt: Names the first stage that differs, its files, and why.
        WebslmError: What a stage raised.
    """
    preflight(cfg)
    steps = [step for step in plan(cfg) if step.stage in lock["stages"]]
    _check_files(lock, steps)
    check_environment(cfg, steps)
    check_compiler(cfg, steps)
    fresh = Stores(local=Cache(store))
    tools = known.root / "tools"
    if not own_tools and tools.is_dir():
        store.mkdir(parents=True, exist_ok=True)
        (store / "tools").symlink_to(tools, target_is_directory=True)
    told = []
    for count, step in enumerate(steps, start=1):
        pinned = lock["stages"][step.stage]["pinned"]
        if pinned and step.stage != "verify":
            _take_pinned(lock, step, known, fresh.local)
        try:
            results = execute(
                fresh.look(steps[:count]), fresh, log_dir=store / "log", display=_Last(display)
            )
        except BuildFailed as exc:
            raise exc.error from exc
        display.finished(results[-1])
        if pinned:
            told.append(f"{step.stage}: not compared ({pinned})")
            continue
        _compare(lock, cfg, steps[:count], results, known)
        files = lock["stages"][step.stage]["files"]
        told.append(f"{step.stage}: {len(files)} files, byte for byte")
    _compare_delivered(output, {step.stage: step for step in steps}.get(BUNDLE), fresh.local)
    return told


class _Last:
    """A display that shows running stages, and leaves the finished ones to the caller."""

    def __init__(self, display: Display) -> None:
        self.stage = display.stage

    def finished(self, result: Result) -> None:
        """Do nothing: earlier stages would be shown again."""


def _check_files(lock: Mapping[str, Any], steps: Sequence[Step]) -> None:
    problems: list[tuple[str, str | None]] = [
        (f"{key}: the file is not the one that was built from", "bring back the original file")
        for step in steps
        for key, digest in step.files.items()
        if lock["stages"][step.stage]["inputs"].get(key, digest) != digest
    ]
    if problems:
        raise ConfigError(problems=tuple(problems))


def _take_pinned(lock: Mapping[str, Any], step: Step, known: Cache, fresh: Cache) -> None:
    entry = lock["stages"][step.stage]
    found = known.lookup(step.stage, entry["key"])
    listed = {} if found is None else _listing(found.files)
    if found is None or list(file_differences(entry["files"], listed)):
        raise CacheCorrupt(
            f"reproduce: {step.stage} is pinned by its hashes ({entry['pinned']}), and its "
            "artifact is not in the store",
            hint="use the store that built it (WEBSLM_CACHE), or train again with a new build",
        )
    if entry["key"] != step.key:
        raise CacheCorrupt(
            f"reproduce: {step.stage} is pinned, and this webslm would make it otherwise",
            hint=f"use webslm {lock['webslm']} as it was when the lock was written",
        )
    copy_tree(found.path.parent, fresh.folder(step.stage, step.key))


def _listing(files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"sha256": item.sha256, "size": item.size} for name, item in files.items()}


def _compare(
    lock: Mapping[str, Any],
    cfg: Config,
    steps: Sequence[Step],
    results: Sequence[Result],
    known: Cache,
) -> None:
    stage = steps[-1].stage
    new = make_lock(cfg, (), steps, results)
    entry = lock["stages"][stage]
    files = new["stages"][stage]["files"]
    different = list(file_differences(entry["files"], files))
    if not different:
        return
    before = known.folder(stage, entry["key"]) / "files"
    for name in sorted(files):
        if (before / name).is_file() and name in entry["files"]:
            offset = first_byte(before / name, results[-1].path / name)
            if offset is not None:
                different.append(f"{name} differs from byte {offset} on")
    found = compare({**lock, "stages": {s.stage: lock["stages"][s.stage] for s in steps}}, new)
    raise CacheCorrupt(
        f"reproduce: {stage} is the first stage that differs: {'; '.join(different)}",
        hint="; ".join([f"{found.stage}: {cause}" for cause in found.causes] + found.machine)
        or None,
    )


def _compare_delivered(output: Path, step: Step | None, fresh: Cache) -> None:
    if step is None or not (output / BUNDLE).is_dir():
        return
    built = fresh.folder(step.stage, step.key) / "files"
    problems = []
    for path in sorted(path for path in built.rglob("*") if path.is_file()):
        name = path.relative_to(built).as_posix()
        delivered = output / BUNDLE / name
        if not delivered.is_file():
            problems.append(f"{BUNDLE}/{name} is missing")
        elif (offset := first_byte(path, delivered)) is not None:
            problems.append(f"{BUNDLE}/{name} differs from byte {offset} on")
    if problems:
        raise CacheCorrupt(
            f"reproduce: the build is as locked, the delivered site is not: {'; '.join(problems)}",
            hint="run the lock's command to restore the output",
        )


def discard(store: Path) -> None:
    """Remove a store that was made for a comparison."""
    if (store / "tools").is_symlink():
        (store / "tools").unlink()
    shutil.rmtree(store, ignore_errors=True)
