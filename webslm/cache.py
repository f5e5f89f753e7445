"""Own the content-addressed store of stage outputs: look up, commit whole or not at all.

Layout: ``artifacts/<stage>/<key[:16]>/{artifact.json, files/...}``. A folder of that name is
complete by construction: it is made under a temporary name, flushed, then renamed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.errors import EnvironmentMismatch
from webslm.fs import fresh_dir, sync_tree, tree_files, write_text
from webslm.keys import file_digest
from webslm.stage import Metrics

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


class Cache:
    """The store below one root folder."""

    def __init__(self, root: Path) -> None:
        """Use ``root``; it is made when something is written."""
        self.root = root
        self.artifacts = root / "artifacts"

    def folder(self, stage: str, key: str) -> Path:
        """Return where the artifact of ``key`` lies or would lie."""
        return self.artifacts / stage / key[:16]

    def lookup(self, stage: str, key: str) -> Artifact | None:
        """Return the artifact, or None for a miss; a corrupt one is a warning and a miss."""
        folder = self.folder(stage, key)
        if not folder.is_dir():
            return None
        try:
            artifact = _read(folder, stage, key)
            problem = _first_damage(artifact)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            problem = f"unreadable {MANIFEST} ({exc})"
        if problem is None:
            return artifact
        log.warning("%s %s is damaged (%s): built again", stage, key[:16], problem)
        self._discard(folder)
        return None

    def work_dir(self, stage: str) -> Path:
        """Return a fresh folder in the store's file system; ``commit`` or ``abandon`` it."""
        try:
            return fresh_dir(self.artifacts / stage, "work")
        except OSError as exc:
            raise EnvironmentMismatch(
                f"the cache folder {self.root} cannot be written: {exc.strerror}",
                hint="set WEBSLM_CACHE to a folder on a disk with room",
            ) from exc

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
        }
        write_text(work / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))
        sync_tree(files)
        folder = self.folder(stage, key)
        try:
            os.rename(work, folder)
        except OSError:
            if self.lookup(stage, key) is None:
                os.rename(work, folder)
            else:
                self.abandon(work)
        return _read(folder, stage, key)

    def drop(self, stage: str, key: str) -> None:
        """Remove one artifact, so that the next lookup misses."""
        folder = self.folder(stage, key)
        if folder.is_dir():
            self._discard(folder)

    def _discard(self, folder: Path) -> None:
        # Renamed first: a kill during the removal must not leave half an artifact in its place.
        doomed = fresh_dir(folder.parent, "work")
        os.rename(folder, doomed / "gone")
        shutil.rmtree(doomed, ignore_errors=True)


def _read(folder: Path, stage: str, key: str) -> Artifact:
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest["schema"] != SCHEMA or manifest["stage"] != stage or manifest["key"] != key:
        raise ValueError("another artifact's manifest")
    files = {name: FileEntry(**entry) for name, entry in manifest["files"].items()}
    return Artifact(
        stage=stage,
        key=key,
        path=folder / "files",
        files=files,
        metrics=manifest["metrics"],
        seconds=float(manifest["seconds"]),
        peak_rss_bytes=int(manifest["peak_rss_bytes"]),
    )


def _first_damage(artifact: Artifact) -> str | None:
    present = {path.relative_to(artifact.path).as_posix() for path in tree_files(artifact.path)}
    if present != set(artifact.files):
        return f"files differ: {sorted(present ^ set(artifact.files))[0]}"
    for name, entry in artifact.files.items():
        stat = (artifact.path / name).stat()
        if stat.st_size != entry.size:
            return f"{name} has {stat.st_size} bytes, not {entry.size}"
        # An unchanged time stamp stands for unchanged bytes: a hit must not read gigabytes.
        if stat.st_mtime_ns != entry.mtime_ns and file_digest(artifact.path / name) != entry.sha256:
            return f"{name} has other bytes"
    return None
