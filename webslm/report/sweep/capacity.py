"""Own how many builds a machine runs at once: by free memory, cores and what past steps took."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from webslm.engine.look import Planned
from webslm.engine.machine.memory import available_memory
from webslm.engine.store.artifacts import Cache

CORES_PER_JOB = 2
"""Threads that training and the proving browser use."""
UNKNOWN_BYTES = 2 << 30
"""Taken for a stage that this store has never seen run."""
RESERVE = 0.8
"""Share of the free memory that jobs may plan with: tools of a step run beside it."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """How many jobs run at once, and why."""

    jobs: int
    cores: int
    free_bytes: int
    job_bytes: int
    """Largest resident set that a job's steps took before, in bytes."""

    def sentence(self) -> str:
        """Return the reason in words."""
        return (
            f"{self.jobs} jobs at once: {self.cores} cores at {CORES_PER_JOB} a job, "
            f"{self.free_bytes / 2**30:.1f} GiB free at {self.job_bytes / 2**30:.1f} GiB a job"
        )


def capacity(plans: Sequence[Sequence[Planned]], cache: Cache) -> Capacity:
    """Return how many of the planned jobs this machine can run at once; at least one."""
    todo = {each.step.stage for planned in plans for each in planned if each.runs}
    past = past_peaks(cache, todo)
    job_bytes = max((past.get(stage, UNKNOWN_BYTES) for stage in todo), default=1)
    cores = num_cores()
    free = available_memory()
    fit = int(free * RESERVE // job_bytes)
    return Capacity(
        jobs=max(1, min(len(plans), cores // CORES_PER_JOB, fit)),
        cores=cores,
        free_bytes=free,
        job_bytes=job_bytes,
    )


def past_peaks(cache: Cache, stages: Iterable[str]) -> dict[str, int]:
    """Return the largest resident set in bytes that each stage took in this store."""
    peaks: dict[str, int] = {}
    for stage in stages:
        for artifact in cache.stored(stage):
            peaks[stage] = max(peaks.get(stage, 0), artifact.peak_rss_bytes)
    return peaks


def num_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
