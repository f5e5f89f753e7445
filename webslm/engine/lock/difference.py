"""Own the comparison of two locks: the first stage that differs, and why, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webslm.engine.ingredients import changes, shown
from webslm.engine.lock.file import BUNDLE
from webslm.engine.table import BY_NAME, STAGE_NAMES


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What separates two builds."""

    stage: str | None
    """The first stage that differs; None: no stage does."""
    causes: list[str] = field(default_factory=list)
    followers: list[str] = field(default_factory=list)
    """Later stages that differ as well."""
    machine: list[str] = field(default_factory=list)
    """How the machines differ."""


def compare(one: Mapping[str, Any], other: Mapping[str, Any]) -> Difference:
    """Compare two locks stage by stage in the order of a build.

    A measured (pinned) stage differs only by its key: two runs never take equal times.
    """
    machine = [
        f"{name}: {shown(one['matrix'].get(name))} and {shown(other['matrix'].get(name))}"
        for name in ("python", "system", "machine", "vector_unit", "row", "tools", "browser")
        if one["matrix"].get(name) != other["matrix"].get(name)
    ]
    known = {*one["stages"], *other["stages"]}
    ordered = [stage for stage in STAGE_NAMES if stage in known]
    ordered += sorted(known - set(ordered))
    different = [stage for stage in ordered if list(_causes(one, other, stage))]
    if not different:
        return Difference(stage=None, machine=machine)
    first = different[0]
    return Difference(
        stage=first,
        causes=list(_causes(one, other, first)),
        followers=different[1:],
        machine=machine,
    )


def _causes(one: Mapping[str, Any], other: Mapping[str, Any], stage: str) -> Iterator[str]:
    left, right = one["stages"].get(stage), other["stages"].get(stage)
    if left is None or right is None:
        yield f"only the {'second' if left is None else 'first'} build has it"
        return
    if left["key"] == right["key"]:
        if not left["pinned"] and not right["pinned"]:
            for line in file_differences(left["files"], right["files"]):
                yield f"same key, yet {line}: another processor, or a stage that is not repeatable"
        return
    found = False
    for cause in _key_causes(one, other, stage):
        found = True
        yield cause
    if not found:
        yield "its key differs, and what went into it was not recorded (an older lock)"


def _key_causes(one: Mapping[str, Any], other: Mapping[str, Any], stage: str) -> Iterator[str]:
    differing = changes(stage, _ingredients(one, other, stage), _ingredients(other, one, stage))
    for change in differing:
        name, first, second = change.name, shown(change.before), shown(change.now)
        if change.kind == "config":
            yield f"configuration: {name} is {first} in the first, {second} in the second"
        elif change.kind == "files":
            yield f"file: {name} has other bytes (sha256 {first[:13]}, {second[:13]})"
        elif change.kind == "wheels":
            yield f"wheel: {name} {first} in the first, {second} in the second"
    left, right = (lock["stages"][stage]["sources"] for lock in (one, other))
    if left and right and left != right:
        modules = [change.name for change in differing if change.kind == "code"]
        yield f"webslm's own code: {', '.join(modules) or 'modules that one of them lacks'}"
    for change in differing:
        if change.kind == "inputs":
            yield f"it reads {change.name}, which differs"


def _ingredients(lock: Mapping[str, Any], beside: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """Return what a lock records of a stage's key, as far as the lock beside it records it too."""
    entry, other = lock["stages"][stage], beside["stages"][stage]
    recorded = entry["config"] is not None and other["config"] is not None
    return {
        "config": entry["config"] if recorded else {},
        "files": entry["inputs"],
        "wheels": entry["wheels"],
        "code": {name: digest for name, digest in lock["sources"].items() if _belongs(stage, name)},
        "inputs": entry["needs"],
    }


def _belongs(stage: str, module: str) -> bool:
    sources = BY_NAME[stage].sources if stage in BY_NAME else ()
    return any(module == source or module.startswith(f"{source}/") for source in sources)


def file_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for every file that two listings ({sha256, size} by name) differ in."""
    for name in sorted({*one, *other}):
        left, right = one.get(name), other.get(name)
        if left is None or right is None:
            yield f"{name} is only in the {'second' if left is None else 'first'}"
        elif left["size"] != right["size"]:
            yield f"{name} has {left['size']} and {right['size']} bytes"
        elif left["sha256"] != right["sha256"]:
            yield f"{name} has other bytes"


def first_byte(one: Path, other: Path) -> int | None:
    """Return the offset of the first byte in which two files differ, None where they are equal."""
    offset = 0
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            a, b = left.read(1 << 20), right.read(1 << 20)
            if a != b:
                pairs = zip(a, b, strict=False)
                near = next((place for place, (x, y) in enumerate(pairs) if x != y), None)
                return offset + (min(len(a), len(b)) if near is None else near)
            if not a:
                return None
            offset += len(a)


def delivered_bytes(
    one: Mapping[str, Any], first: Path, other: Mapping[str, Any], second: Path
) -> Iterator[str]:
    """Yield where the files of two output folders differ, byte by byte.

    Files that their own lock does not vouch for any more are compared all the same: that is how
    damage after a build is found.
    """
    for name in sorted({*one["outputs"], *other["outputs"]}):
        left, right = first / name, second / name
        if not left.is_file() or not right.is_file():
            if (first / BUNDLE).is_dir() and (second / BUNDLE).is_dir():
                missing = left if not left.is_file() else right
                yield f"{missing}: no such file"
            continue
        offset = first_byte(left, right)
        if offset is not None:
            yield f"{name}: byte {offset} is the first that differs"
