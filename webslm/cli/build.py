"""Own one build from a checked configuration: plan, walk, deliver. Know nothing of Hydra."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from webslm.basics.errors import EnvironmentMismatch, WebslmError
from webslm.basics.fs import copy_tree, sync_tree, temporary_dir
from webslm.basics.paths import cache_dir, expanded
from webslm.basics.screen import Screen
from webslm.basics.stage import Metrics, Result
from webslm.cli.build_log import logged_to
from webslm.cli.preview import preview
from webslm.config.checks.precision import left_out, settled, unsettled
from webslm.config.checks.preflight import (
    check_access,
    check_browser,
    check_compiler,
    check_environment,
    check_pins,
    check_training,
    fetch_wheel,
    notices,
    preflight,
)
from webslm.config.own_texts import whose_texts
from webslm.engine.base_source import settle
from webslm.engine.executor import BuildFailed, execute
from webslm.engine.lock.file import BUNDLE, check_lock, make_lock, read_lock, versions, write_lock
from webslm.engine.plan import Step, plan
from webslm.engine.selection import select
from webslm.engine.store.artifacts import Cache
from webslm.engine.store.remote import open_remote
from webslm.publish.delivered import kept_record
from webslm.publish.run import check as check_publish
from webslm.publish.run import publish
from webslm.report.browser_column import browser_column
from webslm.report.evaluation_table import show_evaluation
from webslm.report.page import NAME as PAGE_NAME
from webslm.report.page import write_page
from webslm.report.summary import LiveDisplay, make_report, show_verify, write_report
from webslm.schema import Config, Precision


def build(cfg: Config, command: Sequence[str], console: Screen) -> list[Result]:
    """Build, deliver to ``cfg.output_dir`` and show it; a dry run only shows the plan.

    Raises:
        WebslmError: What stopped the build; report.json holds it too. A PublishError comes after
            the build was delivered.
    """
    preflight(cfg)
    for line in notices(cfg):
        console.print(line, soft_wrap=True)
    cache = Cache(cache_dir())
    cfg, source = settle(cfg, cache)
    if source is not None:
        console.print(source, soft_wrap=True)
    if cfg.precision is not Precision.declared:
        chosen = _settle(cfg, command, cache, console)
        if chosen is None:
            return []
        cfg = chosen
    planned = plan(cfg)
    check_pins(cfg, planned)
    steps = select(planned, cfg, lambda step: cache.lookup(step.stage, step.key) is not None)
    if cfg.dry_run or cfg.explain is not None:
        preview(cfg, steps, cache, console)
        return []
    check_publish(cfg.publish, cfg.name)
    if (texts := whose_texts(cfg)) is not None:
        console.print(texts, soft_wrap=True)
    results = _walk(cfg, command, steps, cache, console)
    output = _output_dir(cfg)
    _deliver(cfg, command, steps, results, output)
    _show(results, output, console)
    publish(cfg.publish, cfg.host, output, console)
    return results


def _walk(
    cfg: Config,
    command: Sequence[str],
    steps: Sequence[Step],
    cache: Cache,
    console: Screen,
) -> list[Result]:
    """Run the steps; what stops them is reported in the output folder too."""
    check_environment(cfg, steps)
    check_compiler(cfg, steps, cache)
    check_access(cfg, steps, cache)
    check_training(steps, cache)
    check_browser(steps, cache)
    fetch_wheel(cfg, steps, cache, console)
    shared = open_remote(cfg.cache.remote, push=cfg.cache.push)
    output = _output_dir(cfg)
    log_dir = output / "runs" / time.strftime("%Y%m%d-%H%M%S")
    try:
        with logged_to(log_dir):
            return execute(
                steps,
                cache,
                log_dir=log_dir,
                display=LiveDisplay(console),
                shared=shared,
                keep_going=cfg.keep_going,
            )
    except BuildFailed as exc:
        report = make_report(
            name=cfg.name,
            command=command,
            results=exc.results,
            error=exc.error,
            failed_stage=exc.stage,
        )
        write_report(output, report)
        write_page(output, report, steps, exc.results, versions(cfg, steps, exc.results))
        for stage, error in list(exc.failures.items())[1:]:
            console.print(f"also failed: {stage}: {error.message}", soft_wrap=True)
        raise exc.error from exc


def _settle(cfg: Config, command: Sequence[str], cache: Cache, console: Screen) -> Config | None:
    """Return the build with its precision chosen; None: a dry run that cannot know it yet.

    A build that ends before calibration is returned as it is.
    """
    steps = plan(unsettled(cfg))
    names = tuple(step.stage for step in steps)
    if cfg.until in names[:-1] or cfg.only in names[:-1]:
        return cfg
    last = steps[-1]
    stored = None if any(step.forced for step in steps) else cache.lookup(last.stage, last.key)
    if stored is not None:
        return _chosen(cfg, stored.metrics, (), console)
    if cfg.dry_run or cfg.explain is not None:
        preview(cfg, steps, cache, console)
        console.print("the rest follows from what calibrate finds")
        return None
    results = _walk(cfg, command, steps, cache, console)
    return _chosen(cfg, results[-1].metrics, names, console)


def _chosen(cfg: Config, found: Metrics, done: tuple[str, ...], console: Screen) -> Config:
    chosen = settled(cfg, found, done)
    if (reason := left_out(cfg, chosen, found)) is not None:
        console.print(reason, soft_wrap=True)
    return chosen


def _output_dir(cfg: Config) -> Path:
    output = expanded(cfg.output_dir).resolve()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise EnvironmentMismatch(
            f"output_dir: {output} cannot be made: {exc.strerror}", hint="output_dir=FOLDER"
        ) from exc
    return output


def _deliver(
    cfg: Config,
    command: Sequence[str],
    steps: Sequence[Step],
    results: Sequence[Result],
    output: Path,
) -> None:
    bundle = next((result for result in results if result.stage == BUNDLE), None)
    lock = make_lock(cfg, command, steps, results)
    if bundle is not None:
        lock |= kept_record(output, bundle.key)
    lock["metrics"].update(browser_column(steps, results))
    if bundle is not None and not _is_delivered(output, bundle):
        with temporary_dir(output, "bundle") as folder:
            copy_tree(bundle.path, folder / "new")
            sync_tree(folder / "new")
            if (output / BUNDLE).exists():
                os.rename(output / BUNDLE, folder / "old")
            os.rename(folder / "new", output / BUNDLE)
    # A build that ends before the bundle leaves an older one alone, and the lock that vouches
    # for it.
    if bundle is not None or not (output / BUNDLE).exists():
        write_lock(output, lock)
    report = make_report(
        name=cfg.name, command=command, results=results, error=None, failed_stage=None
    )
    report["metrics"].update(browser_column(steps, results))
    write_report(output, report)
    write_page(output, report, steps, results, lock["matrix"])


def _is_delivered(output: Path, bundle: Result) -> bool:
    try:
        lock = read_lock(output)
        check_lock(output)
    except WebslmError:
        return False
    return bool(lock["stages"].get(BUNDLE, {}).get("key") == bundle.key)


def _show(results: Sequence[Result], output: Path, console: Screen) -> None:
    stages = {result.stage: result for result in results}
    if "evaluate" in stages:
        show_evaluation(console, stages["evaluate"].metrics)
    if "verify" in stages:
        show_verify(console, stages["verify"].metrics)
    if BUNDLE in stages:
        shown = os.path.relpath(output)
        if shown.startswith(".."):
            shown = str(output)
        for line in (
            f"\nsite   {shown}/{BUNDLE}",
            f"serve  python -m webslm serve {shlex.quote(f'{shown}/{BUNDLE}')}",
            f"check  python -m webslm lock check {shlex.quote(shown)}",
            f"report {shown}/{PAGE_NAME}",
        ):
            console.print(line, soft_wrap=True)
