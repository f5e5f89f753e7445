"""Own a finished build's way to its output folder: site, lock, report, and what is said of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from webslm.basics.errors import WebslmError
from webslm.basics.fs import copy_tree, sync_tree, temporary_dir
from webslm.basics.screen import Screen
from webslm.basics.stage import Result
from webslm.engine.lock.file import BUNDLE, check_lock, make_lock, read_lock, write_lock
from webslm.engine.plan import Step
from webslm.publish.delivered import kept_record
from webslm.report.browser_column import browser_column
from webslm.report.evaluation_table import show_evaluation
from webslm.report.page import NAME as PAGE_NAME
from webslm.report.page import write_page
from webslm.report.summary import make_report, show_verify, write_report
from webslm.schema import Config


def deliver(
    cfg: Config,
    command: Sequence[str],
    steps: Sequence[Step],
    results: Sequence[Result],
    output: Path,
) -> None:
    """Put the site, its lock and the report into the output folder, each whole."""
    bundle = next((result for result in results if result.stage == BUNDLE), None)
    lock = make_lock(cfg, command, steps, results)
    if bundle is not None:
        lock |= kept_record(output, bundle.key)
    column = browser_column(steps, results)
    lock["metrics"].update(column)
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
    report["metrics"].update(column)
    write_report(output, report)
    write_page(output, report, steps, results, lock["matrix"])


def _is_delivered(output: Path, bundle: Result) -> bool:
    try:
        lock = read_lock(output)
        check_lock(output)
    except WebslmError:
        return False
    return bool(lock["stages"].get(BUNDLE, {}).get("key") == bundle.key)


def tell(results: Sequence[Result], output: Path, console: Screen) -> None:
    """Print what was measured, and what to type with what was made."""
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
