"""Own the content-addressed store of stage outputs: look up, commit whole or not at all.

Layout: ``artifacts/<stage>/<key[:16]>/{artifact.json, files/...}``. A folder of that name is
complete by construction: it is made under a temporary name, flushed, then renamed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webslm.basics.errors import EnvironmentMismatch
from webslm.basics.faults import FULL, full_disk
from webslm.basics.fs import fresh_dir, sync_tree, tree_files, write_text
from webslm.basics.keys import file_digest
from webslm.basics.stage import Metrics

SCHEMA = 1
MANIFEST = "artifact.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One stored file."""

    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A stored stage output."""

    stage: str
    key: str
    path: Path
    """Folder with the stage's files."""
    files: Mapping[str, FileEntry]
    metrics: Metrics
    seconds: float
    peak_rss_bytes: int
    ingredients: Mapping[str, Any] = field(default_factory=dict)
    """What its key is a digest of; empty when a webslm made it that kept no record."""


class Cache:
    """The store below one root folder."""

    def __init__(self, root: Path) -> None:
        """Use ``root``; it is made when something is written."""
        self.root = root
        self.artifacts = root / "artifacts"
        self.damaged = root / "quarantine"
        self.unfinished = root / "unfinished"

    def folder(self, stage: str, key: str) -> Path:
        """Return where the artifact of ``key`` lies or would lie."""
        return self.artifacts / stage / key[:16]

    def scratch(self, stage: str, key: str) -> Path:
        """Return where partial work on ``key`` lies or would lie; no lookup ever reads it."""
        return self.unfinished / stage / key[:16]

    def forget(self, stage: str, key: str) -> None:
        """Remove partial work on ``key``."""
        shutil.rmtree(self.scratch(stage, key), ignore_errors=True)

    def lookup(self, stage: str, key: str) -> Artifact | None:
        """Return the artifact, or None for a miss; a corrupt one is a warning and a miss."""
        folder = self.folder(stage, key)
        if not folder.is_dir():
            return None
        try:
            artifact = read_artifact(folder, stage)
            problem = _first_damage(artifact) if artifact.key == key else "another key"
        except (OSError, ValueError, KeyError, TypeError) as exc:
            problem = f"unreadable {MANIFEST} ({exc})"
        if problem is None:
            self._mark_used(folder)
            return artifact
        try:
            done = f"moved to {self.quarantine(stage, key)}"
        except OSError as exc:
            # A store that may only be read still serves what is whole.
            done = f"cannot be moved away: {exc.strerror}"
        log.warning("%s %s is damaged (%s): %s", stage, key[:16], problem, done)
        return None

    def work_dir(self, stage: str) -> Path:
        """Return a fresh folder in the store's file system; ``commit`` or ``abandon`` it."""
        try:
            return fresh_dir(self.artifacts / stage, "work")
        except OSError as exc:
            raise self.unwritable(exc) from exc

    def unwritable(self, exc: OSError) -> EnvironmentMismatch:
        """Return what to raise when the store's folder refuses a write."""
        told = f"the cache folder {self.root} cannot be written: {exc.strerror}"
        if exc.errno in FULL:
            told = f"the cache folder {self.root} cannot be written: {full_disk([self.root])[0]}"
        return EnvironmentMismatch(told, hint="set WEBSLM_CACHE to a folder on a disk with room")

    def abandon(self, work: Path) -> None:
        """Remove what a failed stage left."""
        shutil.rmtree(work, ignore_errors=True)

    def commit(
        self,
        work: Path,
        *,
        stage: str,
        key: str,
        metrics: Metrics,
        seconds: float,
        peak_rss_bytes: int,
        ingredients: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Publish ``work/files`` under its key; when another process was first, theirs is kept."""
        entries = {}
        files = work / "files"
        for path in tree_files(files):
            stat = path.stat()
            entries[path.relative_to(files).as_posix()] = {
                "sha256": file_digest(path),
                "size": stat.st_size,
                "mtime_ns": stat.st_mtime_ns,
            }
        manifest = {
            "schema": SCHEMA,
            "stage": stage,
            "key": key,
            "files": entries,
            "metrics": metrics,
            "seconds": round(seconds, 3),
            "peak_rss_bytes": peak_rss_bytes,
            "ingredients": dict(ingredients or {}),
        }
        write_text(work / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))
        sync_tree(files)
        return self.adopt(work, stage, key)

    def adopt(self, work: Path, stage: str, key: str) -> Artifact:
        """Give a whole artifact in a ``work_dir`` its name; keep another's that came first."""
        folder = self.folder(stage, key)
        try:
            os.rename(work, folder)
        except OSError:
            if self.lookup(stage, key) is None:
                os.rename(work, folder)
            else:
                self.abandon(work)
        return read_artifact(folder, stage)

    def record(self, stage: str, key: str) -> Artifact | None:
        """Return what the manifest of ``key`` tells, without looking at its files; None: no such.

        Unlike ``lookup`` it neither moves what is damaged nor counts as a use.
        """
        try:
            artifact = read_artifact(self.folder(stage, key), stage)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return artifact if artifact.key == key else None

    def stored(self, only: str | None = None) -> Iterator[Artifact]:
        """Yield every artifact whose manifest can be read, without looking at its files.

        Args:
            only: The stage whose artifacts are yielded; None: those of all.
        """
        if not self.artifacts.is_dir():
            return
        for stage in sorted(os.scandir(self.artifacts), key=lambda entry: entry.name):
            if stage.is_dir() and only in (None, stage.name):
                for folder in sorted(os.scandir(stage.path), key=lambda entry: entry.name):
                    if not folder.name.startswith("."):
                        try:
                            yield read_artifact(Path(folder.path), stage.name)
                        except (OSError, ValueError, KeyError, TypeError) as exc:
                            log.warning("%s: unreadable %s (%s)", folder.path, MANIFEST, exc)

    def check(self, artifact: Artifact) -> str | None:
        """Return what is wrong with an artifact when every byte is read, or None."""
        return _first_damage(artifact, trust_times=False)

    def drop(self, stage: str, key: str) -> None:
        """Remove one artifact, so that the next lookup misses."""
        folder = self.folder(stage, key)
        if folder.is_dir():
            self._discard(folder)

    def quarantine(self, stage: str, key: str) -> Path:
        """Move a damaged artifact out of the way, so that it can be looked at; return where to."""
        self.damaged.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=self.damaged, prefix=f"{stage}-{key[:16]}-"))
        os.rename(self.folder(stage, key), place / "artifact")
        return place

    def _mark_used(self, folder: Path) -> None:
        # The manifest's time says when an artifact was last of use; `cache gc` reads it.
        with contextlib.suppress(OSError):
            os.utime(folder / MANIFEST)

    def _discard(self, folder: Path) -> None:
        # Renamed first: a kill during the removal must not leave half an artifact in its place.
        doomed = fresh_dir(folder.parent, "work")
        os.rename(folder, doomed / "gone")
        shutil.rmtree(doomed, ignore_errors=True)


def read_artifact(folder: Path, stage: str) -> Artifact:
    """Return the artifact in ``folder`` as its manifest tells; its files are not looked at.

    Raises:
        OSError: There is no manifest.
        ValueError, KeyError, TypeError: It is not the manifest of an artifact of ``stage``.
    """
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest["schema"] != SCHEMA or manifest["stage"] != stage:
        raise ValueError("another artifact's manifest")
    files = {name: FileEntry(**entry) for name, entry in manifest["files"].items()}
    return Artifact(
        stage=stage,
        key=str(manifest["key"]),
        path=folder / "files",
        files=files,
        metrics=manifest["metrics"],
        seconds=float(manifest["seconds"]),
        peak_rss_bytes=int(manifest["peak_rss_bytes"]),
        ingredients=dict(manifest.get("ingredients", {})),
    )


def _first_damage(artifact: Artifact, *, trust_times: bool = True) -> str | None:
    present = {path.relative_to(artifact.path).as_posix() for path in tree_files(artifact.path)}
    if present != set(artifact.files):
        return f"files differ: {sorted(present ^ set(artifact.files))[0]}"
    for name, entry in artifact.files.items():
        stat = (artifact.path / name).stat()
        if stat.st_size != entry.size:
            return f"{name} has {stat.st_size} bytes, not {entry.size}"
        # An unchanged time stamp stands for unchanged bytes: a hit must not read gigabytes.
        if trust_times and stat.st_mtime_ns == entry.mtime_ns:
            continue
        if file_digest(artifact.path / name) != entry.sha256:
            return f"{name} has other bytes"
    return None
