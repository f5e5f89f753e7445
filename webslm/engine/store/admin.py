"""Own ``webslm cache``: what is stored, whether it is whole, and which of it can go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from webslm.basics.errors import CacheCorrupt
from webslm.engine.store.artifacts import MANIFEST, Artifact, Cache

IDLE_S = 86400.0
"""A build writes a checkpoint far more often than once in so many seconds."""
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A stored artifact as a list shows it."""

    artifact: Artifact
    size: int
    """Bytes of its files, as its manifest says."""
    used: float
    """When a build last made or took it, in seconds since the epoch."""


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """What a clean-up removes and leaves."""

    removed: list[Entry]
    kept: list[Entry]

    @property
    def freed(self) -> int:
        """Bytes of what is removed."""
        return sum(entry.size for entry in self.removed)


def entries(cache: Cache, stage: str | None = None) -> list[Entry]:
    """Return what is stored, most recently used first; reads manifests only."""
    found = []
    for artifact in cache.stored():
        if stage in (None, artifact.stage):
            size = sum(file.size for file in artifact.files.values())
            used = (artifact.path.parent / MANIFEST).stat().st_mtime
            found.append(Entry(artifact=artifact, size=size, used=used))
    return sorted(found, key=lambda entry: -entry.used)


def verify(cache: Cache, found: Iterable[Entry]) -> int:
    """Read every byte; return how many artifacts are whole.

    Raises:
        CacheCorrupt: Names each damaged artifact and where it was moved; the rest still works.
    """
    problems, whole = [], 0
    for entry in found:
        problem = cache.check(entry.artifact)
        if problem is None:
            whole += 1
        else:
            place = cache.quarantine(entry.artifact.stage, entry.artifact.key)
            name = f"{entry.artifact.stage} {entry.artifact.key[:16]}"
            problems.append(f"{name}: {problem} (moved to {place})")
    if problems:
        raise CacheCorrupt(
            "; ".join(problems), hint="run the build again: it makes what is missing"
        )
    return whole


def clean(found: Sequence[Entry], *, wanted: Collection[str], max_size: int | None) -> Cleaning:
    """Choose what a clean-up removes: the longest unused first, never what is wanted.

    Args:
        found: What is stored, most recently used first.
        wanted: Keys that stay whatever they weigh.
        max_size: Bytes that may stay in all; None: everything that is not wanted goes.
    """
    size = sum(entry.size for entry in found if entry.artifact.key in wanted)
    kept, removed = [], []
    for entry in found:
        if entry.artifact.key in wanted:
            kept.append(entry)
        elif max_size is not None and size + entry.size <= max_size:
            size += entry.size
            kept.append(entry)
        else:
            removed.append(entry)
    return Cleaning(removed=removed, kept=kept)


def remove(cache: Cache, cleaning: Cleaning) -> None:
    """Remove what was chosen, and everything in quarantine."""
    for entry in cleaning.removed:
        cache.drop(entry.artifact.stage, entry.artifact.key)
    shutil.rmtree(cache.damaged, ignore_errors=True)


def remove_unfinished(cache: Cache) -> int:
    """Remove partial work that no build has touched for a day; return how many folders went."""
    count = 0
    for folder in cache.unfinished.glob("*/*"):
        times = [path.stat().st_mtime for path in (folder, *folder.iterdir())]
        if time.time() - max(times) >= IDLE_S:
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    return count


def parse_size(text: str) -> int:
    """Return bytes of ``500M``, ``2.5GB`` or ``1000`` (powers of ten).

    Raises:
        ValueError: It is none of these.
    """
    word = text.strip().lower().removesuffix("b").removesuffix("i")
    unit = word[-1:] if word[-1:].isalpha() else ""
    number = float(word.removesuffix(unit) if unit else word)
    if unit not in UNITS or not 0 <= number < float("inf"):
        raise ValueError(text)
    return int(number * UNITS[unit])


def ago(used: float) -> str:
    """Return how long ago a time was."""
    seconds = max(0.0, time.time() - used)
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {name} ago"
    return "now"


def named(found: Sequence[Entry], prefixes: Sequence[str]) -> list[Entry]:
    """Return the entries whose stage or key begins with one of the words; all for none.

    Raises:
        KeyError: Nothing stored begins with a word.
    """
    if not prefixes:
        return list(found)
    kept: list[Entry] = []
    for word in prefixes:
        hits = [e for e in found if e.artifact.key.startswith(word) or e.artifact.stage == word]
        if not hits:
            raise KeyError(word)
        kept += [entry for entry in hits if entry not in kept]
    return kept


def export_target(path: Path) -> Path:
    """Return the file an export goes to; a folder gets ``webslm-cache.tar`` in it."""
    return path / "webslm-cache.tar" if path.is_dir() else path
