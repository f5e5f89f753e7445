"""Own the walk of one build's steps: this machine asked, a log kept, a failure reported."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from webslm.basics.errors import EnvironmentMismatch
from webslm.basics.paths import expanded
from webslm.basics.screen import Screen
from webslm.basics.stage import Result
from webslm.cli.build_log import logged_to
from webslm.config.checks.machine import check_machine, fetch_wheel
from webslm.engine.executor import BuildFailed, execute
from webslm.engine.lock.file import versions
from webslm.engine.look import Planned, Stores
from webslm.report.page import write_page
from webslm.report.summary import LiveDisplay, make_report, write_report
from webslm.schema import Config


def walk(
    cfg: Config,
    command: Sequence[str],
    planned: Sequence[Planned],
    stores: Stores,
    console: Screen,
) -> list[Result]:
    """Run the steps; what stops them is reported in the output folder too.

    Raises:
        WebslmError: This machine lacks something, or the first stage that failed says why.
    """
    todo = [each.step for each in planned if each.runs]
    check_machine(cfg, todo)
    fetch_wheel(cfg, todo, stores.local, console)
    output = output_dir(cfg)
    log_dir = output / "runs" / time.strftime("%Y%m%d-%H%M%S")
    try:
        with logged_to(log_dir):
            return execute(
                planned,
                stores,
                log_dir=log_dir,
                display=LiveDisplay(console),
                keep_going=cfg.keep_going,
            )
    except BuildFailed as exc:
        _report(cfg, command, planned, output, exc)
        for stage, error in list(exc.failures.items())[1:]:
            console.print(f"also failed: {stage}: {error.message}", soft_wrap=True)
        raise exc.error from exc


def output_dir(cfg: Config) -> Path:
    """Return the folder that a build is delivered to, made where it is missing.

    Raises:
        EnvironmentMismatch: It cannot be made.
    """
    output = expanded(cfg.output_dir).resolve()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise EnvironmentMismatch(
            f"output_dir: {output} cannot be made: {exc.strerror}", hint="output_dir=FOLDER"
        ) from exc
    return output


def _report(
    cfg: Config,
    command: Sequence[str],
    planned: Sequence[Planned],
    output: Path,
    failure: BuildFailed,
) -> None:
    report = make_report(
        name=cfg.name,
        command=command,
        results=failure.results,
        error=failure.error,
        failed_stage=failure.stage,
    )
    write_report(output, report)
    steps = [each.step for each in planned]
    write_page(output, report, steps, failure.results, versions(cfg, steps, failure.results))
