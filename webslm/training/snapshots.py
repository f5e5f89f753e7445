"""Own the checkpoints of a training that may be killed: whole on disk or not there at all.

The trainer writes model, optimizer, scheduler and random states into a folder of their own; only
when all of it is on the disk and listed with its digests does that folder get a name that a later
training looks for.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from webslm.basics.fs import fresh_dir, sync_tree, tree_files, write_text
from webslm.basics.keys import file_digest

MANIFEST = "snapshot.json"
PREFIX = "step-"
log = logging.getLogger(__name__)


class Snapshots:
    """The checkpoints of one training below one folder; the newest whole one is kept."""

    def __init__(self, folder: Path, every_s: float) -> None:
        """Keep a checkpoint when ``every_s`` seconds of training have passed since the last."""
        self.folder = folder
        self.work = fresh_dir(folder, "writing")
        """Where the trainer writes what is not whole yet."""
        self._every_s = every_s
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Return whether it is time for the next one."""
        return time.monotonic() - self._last >= self._every_s

    def newest(self) -> Path | None:
        """Return the newest whole checkpoint; a damaged one is a warning and is removed."""
        for path in sorted(self.folder.glob(f"{PREFIX}*"), reverse=True):
            problem = _damage(path)
            if problem is None:
                return path
            log.warning("checkpoint %s is damaged (%s): removed", path, problem)
            shutil.rmtree(path)
        return None

    def keep(self, written: Path, step: int) -> None:
        """Give a written checkpoint its name and remove those before it."""
        digests = {
            path.relative_to(written).as_posix(): file_digest(path) for path in tree_files(written)
        }
        write_text(written / MANIFEST, json.dumps(digests, indent=1, sort_keys=True))
        sync_tree(written)
        target = self.folder / f"{PREFIX}{step:09d}"
        os.rename(written, target)
        for path in self.folder.glob(f"{PREFIX}*"):
            if path != target:
                self._discard(path)
        self._last = time.monotonic()

    def close(self) -> None:
        """Remove what was being written; the last whole checkpoint stays."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _discard(self, path: Path) -> None:
        # Renamed first: a kill during the removal must not leave half a checkpoint under its name.
        doomed = self.work / path.name
        os.rename(path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _damage(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None."""
    try:
        digests: dict[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, digest in digests.items():
            if file_digest(folder / name) != digest:
                return f"{name} has other bytes"
    except (OSError, ValueError, AttributeError) as exc:
        return str(exc)
    return None


def callback(snapshots: Snapshots) -> Any:
    """Return the trainer callback that asks for checkpoints and keeps what was written."""
    from transformers import TrainerCallback

    class Keeper(TrainerCallback):  # type: ignore[misc]
        """Asks for a checkpoint when one is due, and publishes it once it is written."""

        def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
            # None at the end: a training that goes on from there would do one step too many.
            control.should_save = snapshots.due and not control.should_training_stop

        def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
            step = state.global_step
            snapshots.keep(Path(args.output_dir) / f"checkpoint-{step}", step)

    return Keeper()
