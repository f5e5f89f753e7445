"""Own the walk of one build's steps: this machine asked, a log kept, a failure reported."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from webslm.basics.errors import EnvironmentMismatch
from webslm.basics.paths import expanded
from webslm.basics.screen import Screen
from webslm.basics.stage import Result
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
    handler = _log_to(log_dir)
    try:
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
    finally:
        logging.getLogger("webslm").removeHandler(handler)


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


class _LogFile(logging.FileHandler):
    """A log whose folder is made with its first line: a build of hits leaves none."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()


def _log_to(log_dir: Path) -> logging.Handler:
    handler = _LogFile(
        log_dir / "webslm.log", delay=True, encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("webslm")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return handler
