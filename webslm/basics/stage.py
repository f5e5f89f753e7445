"""Own the types a stage speaks: Context, Result, Status. Do no work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

Metric = float | int | str | bool | None | list["Metric"] | dict[str, "Metric"]
Metrics = Mapping[str, Metric]


class Progress(Protocol):
    """How a stage says how far it is; shown by the executor."""

    def update(self, done: float, total: float, message: str = "") -> None:
        """Show ``done`` of ``total`` units and a short message."""

    def note(self, message: str) -> None:
        """Show one line."""


class SilentProgress:
    """A Progress that shows nothing, for tests and workers."""

    def update(self, done: float, total: float, message: str = "") -> None:
        """Do nothing."""

    def note(self, message: str) -> None:
        """Do nothing."""


def loss_report(progress: Progress) -> Callable[[int, int, float], None]:
    """Return what a training loop calls after a step with (steps done, steps in all, loss)."""

    def report(step: int, steps: int, loss: float) -> None:
        progress.update(step, steps, f"loss {loss:.3f}")

    return report


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a stage may use beside its configuration and its inputs."""

    cache_dir: Path
    """Root of the cache; a stage may keep tool caches (not artifacts) below ``tools/``."""
    log_dir: Path
    """Where long logs go."""
    scratch_dir: Path | None = None
    """Folder of this key alone for partial work that a killed build may go on from; it may not be
    there yet. It goes when the artifact is stored. None: nothing is kept."""
    progress: Progress = field(default_factory=SilentProgress)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("webslm"))


class Status(Enum):
    """How a step ended."""

    RAN = "ran"
    HIT = "hit"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the executor knows of one finished step."""

    stage: str
    key: str
    status: Status
    seconds: float
    """Seconds the stage took when it ran (the recorded ones for a hit)."""
    peak_rss_bytes: int
    """Largest resident set of the process while the stage ran, in bytes."""
    path: Path
    metrics: Metrics = field(default_factory=dict)
