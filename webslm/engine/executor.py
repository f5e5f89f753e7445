"""Own the walk over a plan: hit or run, commit, collect. Decide nothing about keys."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from webslm.basics.errors import WebslmError
from webslm.basics.faults import explained
from webslm.basics.stage import Context, Metrics, Progress, Result, Status
from webslm.engine.look import Planned, Stores
from webslm.engine.machine.memory import PeakMemory
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Artifact, Cache
from webslm.engine.store.keylock import only_builder
from webslm.engine.table import BY_NAME
from webslm.schema import StageConf

StageFunction = Callable[[StageConf, Mapping[str, Path], Path, Context], Metrics]


class Display(Protocol):
    """How a build is shown."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Show that a stage runs, as long as the context lasts."""

    def finished(self, result: Result) -> None:
        """Show one finished step."""


class BuildFailed(Exception):
    """Carries the first failed stage's error together with the results."""

    def __init__(
        self,
        stage: str,
        error: WebslmError,
        results: Sequence[Result],
        failures: Mapping[str, WebslmError],
    ) -> None:
        """Keep the failing stage, its error, every failure and what was done."""
        super().__init__(str(error))
        self.failures = dict(failures)
        self.stage = stage
        self.error = error
        self.results = list(results)


def execute(
    planned: Sequence[Planned],
    stores: Stores,
    *,
    log_dir: Path,
    display: Display,
    keep_going: bool = False,
) -> list[Result]:
    """Walk the plan; return one Result per step.

    Args:
        planned: In an order in which every step's needs come before it.
        stores: Where artifacts come from and go to, as ``planned`` saw them.
        log_dir: Where long logs go.
        display: How it is shown.
        keep_going: Whether a failed stage ends only what reads it.

    Raises:
        BuildFailed: A stage raised; artifacts made before it are kept.
    """
    results: list[Result] = []
    paths: dict[str, Path] = {}
    failures: dict[str, WebslmError] = {}
    for each in planned:
        step = each.step
        if any(need not in paths for need in step.needs):
            continue
        try:
            result = _step(each, paths, stores, log_dir, display)
        except WebslmError as exc:
            failures[step.stage] = exc
            if not keep_going:
                break
            continue
        paths[step.stage] = result.path
        results.append(result)
        display.finished(result)
    if failures:
        stage, error = next(iter(failures.items()))
        raise BuildFailed(stage, error, results, failures) from error
    return results


def _step(
    planned: Planned,
    paths: Mapping[str, Path],
    stores: Stores,
    log_dir: Path,
    display: Display,
) -> Result:
    step, cache = planned.step, stores.local
    artifact = None if planned.forced else stores.take(planned)
    if artifact is not None:
        return _result(artifact, Status.HIT)
    inputs = {need: paths[need] for need in step.needs}
    log_dir.mkdir(parents=True, exist_ok=True)
    with display.stage(step.stage) as progress:
        ctx = Context(
            cache_dir=cache.root,
            log_dir=log_dir,
            scratch_dir=cache.scratch(step.stage, step.key),
            progress=progress,
        )
        with _alone(step, cache, progress):
            # Another build may have made it while this one waited.
            artifact = None if planned.forced else cache.lookup(step.stage, step.key)
            if artifact is not None:
                return _result(artifact, Status.HIT)
            made = _run(planned, inputs, cache, ctx)
        if stores.shared is not None:
            progress.note("sharing it")
            stores.shared.push(made)
        return _result(made, Status.RAN)


@contextlib.contextmanager
def _alone(step: Step, cache: Cache, progress: Progress) -> Iterator[None]:
    def waiting() -> None:
        progress.note("another build makes it: waiting")

    with contextlib.ExitStack() as held:
        try:
            held.enter_context(only_builder(cache.root, step.stage, step.key, waiting))
        except OSError as exc:
            raise cache.unwritable(exc) from exc
        yield


def _run(planned: Planned, inputs: Mapping[str, Path], cache: Cache, ctx: Context) -> Artifact:
    step = planned.step
    work = cache.work_dir(step.stage)
    out = work / "files"
    out.mkdir()
    if planned.forced:
        cache.forget(step.stage, step.key)
    started = time.monotonic()
    try:
        with PeakMemory() as memory:
            metrics = load_stage(step.stage)(step.conf, inputs, out, ctx)
        seconds = time.monotonic() - started
        if planned.forced:
            cache.drop(step.stage, step.key)
        made = cache.commit(
            work,
            stage=step.stage,
            key=step.key,
            metrics=metrics,
            seconds=seconds,
            peak_rss_bytes=memory.peak_bytes,
            ingredients=step.ingredients,
        )
        cache.forget(step.stage, step.key)
        return made
    except Exception as exc:
        # Asked before what was written is removed: a full disk is full only until then.
        told = explained(exc, stage=step.stage, places=(cache.root, ctx.log_dir))
        cache.abandon(work)
        if told is exc:
            raise
        raise told from exc
    except BaseException:
        cache.abandon(work)
        raise


def load_stage(name: str) -> StageFunction:
    """Import the module that does a stage's work and return its ``run``."""
    run: StageFunction = importlib.import_module(f"webslm.stages.{BY_NAME[name].module}").run
    return run


def _result(artifact: Artifact, status: Status) -> Result:
    return Result(
        stage=artifact.stage,
        key=artifact.key,
        status=status,
        seconds=artifact.seconds,
        peak_rss_bytes=artifact.peak_rss_bytes,
        path=artifact.path,
        metrics=artifact.metrics,
    )
