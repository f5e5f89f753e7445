"""Own what a build shows: live lines, the plan, the final tables, report.json, error screens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import JustifyMethod
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from webslm.basics.errors import Bug, ConfigError, WebslmError
from webslm.basics.fs import write_text
from webslm.basics.screen import Screen, shown, tell_problem
from webslm.basics.stage import Progress as ProgressLike
from webslm.basics.stage import Result, SilentProgress, Status
from webslm.engine.forecast import Forecast
from webslm.engine.plan import Step
from webslm.report.terminal import told_of_reading

REPORT_NAME = "report.json"
MIB = 1 << 20


class LiveDisplay:
    """Shows the running stage as a bar with ETA and every finished one as a line."""

    def __init__(self, console: Screen) -> None:
        """Draw on ``console``."""
        self.console = console

    @contextmanager
    def stage(self, name: str) -> Iterator[ProgressLike]:
        """Show a bar as long as the stage runs."""
        if not self.console.is_terminal:
            # A log file has no use for a moving bar: one line says what is going on.
            self.console.print(f"... {name}")
            yield SilentProgress()
            return
        columns = (
            TextColumn("{task.fields[stage]:<13}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield _Bar(progress, progress.add_task("", total=None, stage=name))

    def finished(self, result: Result) -> None:
        """Show one line for a step."""
        hit = result.status is Status.HIT
        mark = ("hit", "cyan") if hit else ("ran", "green")
        took = "" if hit else f"{result.seconds:7.1f} s  {result.peak_rss_bytes / MIB:7.0f} MiB"
        line = f" {result.stage:<13} {result.key[:16]}  {took}"
        self.console.print(Text.assemble(mark, line.rstrip()))
        for told in told_of_reading(result.metrics):
            self.console.print(f"    {told}", soft_wrap=True)


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, done: float, total: float, message: str = "") -> None:
        """Show ``done`` of ``total`` units and a short message."""
        self._progress.update(self._task, completed=done, total=total, description=shown(message))

    def note(self, message: str) -> None:
        """Show what is going on now."""
        self._progress.update(self._task, description=shown(message))


def show_plan(console: Screen, steps: Sequence[Step], expected: Mapping[str, Forecast]) -> None:
    """Print steps, keys, what is stored already and what the rest will cost."""
    table = Table(title="plan", title_justify="left", box=None, pad_edge=False)
    for column in ("stage", "key", "status", "time", "memory", "download", "needs"):
        justify: JustifyMethod = "right" if column in ("time", "memory") else "left"
        table.add_column(column, justify=justify, no_wrap=column != "needs")
    for step in steps:
        seen = expected[step.stage]
        took = "" if seen.seconds is None else f"{seen.seconds:.1f} s"
        memory = "" if seen.peak_rss_bytes is None else f"{seen.peak_rss_bytes / MIB:.0f} MiB"
        size = f" {decimal(seen.download_bytes)}" if seen.download_bytes else ""
        download = f"{seen.download}{size}"
        needs = ", ".join(step.needs)
        table.add_row(step.stage, step.key[:16], seen.status, took, memory, download, needs)
    console.print(table)
    console.print(_expected_total(list(expected.values())))


def _expected_total(expected: Sequence[Forecast]) -> str:
    todo = [seen for seen in expected if seen.status in ("run", "forced")]
    if not todo:
        return "nothing runs"
    known = [seen.seconds for seen in todo if seen.seconds is not None]
    line = f"{len(todo)} to run"
    if known:
        line += f", about {sum(known):.0f} s as the nearest stored runs took"
    if len(known) < len(todo):
        line += f", {len(todo) - len(known)} of them never ran here"
    return line


def show_verify(console: Screen, metrics: Mapping[str, Any]) -> None:
    """Print the browser's proof as a table."""
    table = Table(title="proof in a real browser", title_justify="left")
    for column in ("check", "seen"):
        table.add_column(column)
    for check, seen in verify_rows(metrics):
        table.add_row(check, seen)
    console.print(table)


def verify_rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (check, what was seen) of a verify stage's metrics."""
    yield "browser", metrics["browser"]
    yield "graphics", metrics["adapter"]
    yield "page loaded and chatted", "yes" if metrics["loaded"] else "no"
    yield "console errors", str(len(metrics["console_errors"]))
    yield "WebGPU errors", str(len(metrics["webgpu_errors"]))
    yield "requests to other hosts", str(len(metrics["foreign_requests"]))
    for reference in ("dequantized", "merged"):
        greedy = metrics["greedy_agreement"][reference]
        forced = metrics["forced_top1_agreement"][reference]
        prompts = metrics["compared"]["greedy_prompts"]
        positions = metrics["compared"]["forced_positions"]
        yield f"greedy tokens = torch ({reference})", f"{greedy:.1%} of {prompts} prompts"
        yield f"top-1, forced decoding ({reference})", f"{forced:.2%} of {positions} positions"
    for answer, base in zip(metrics["answers"], metrics["base_answers"], strict=True):
        stopped = "stopped" if answer["stopped"] else "did not stop"
        told = f"ROUGE-L {answer['rouge_l']:.2f}, {stopped}; base {base['rouge_l']:.2f}"
        yield answer["question"][:48], told
    yield "seconds to load", f"{metrics['load_s']:.1f}"
    yield "tokens per second", f"{metrics['decode_tok_s']:.1f}"


def make_report(
    *,
    name: str,
    command: Sequence[str],
    results: Sequence[Result],
    error: WebslmError | None,
    failed_stage: str | None,
) -> dict[str, Any]:
    """Return report.json's content: what ran, what was seen, whether it is good."""
    steps = [
        {
            "stage": result.stage,
            "key": result.key,
            "status": result.status.value,
            "seconds": result.seconds,
            "peak_rss_bytes": result.peak_rss_bytes,
        }
        for result in results
    ]
    metrics = {result.stage: dict(result.metrics) for result in results}
    report: dict[str, Any] = {
        "ok": error is None,
        "name": name,
        "command": list(command),
        "steps": steps,
        "metrics": {stage: value for stage, value in metrics.items() if stage != "verify"},
        "verify": metrics.get("verify"),
    }
    if error is not None:
        report["error"] = {
            "stage": failed_stage,
            "kind": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
    return report


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write report.json whole."""
    write_text(folder / REPORT_NAME, json.dumps(report, indent=1, sort_keys=True) + "\n")


def show_error(console: Screen, error: WebslmError) -> None:
    """Print each problem as one line and each hint as one more; a bug with its traceback."""
    if isinstance(error, Bug) and error.trace:
        console.print(error.trace.rstrip(), soft_wrap=True)
    problems = error.problems if isinstance(error, ConfigError) else ((error.message, error.hint),)
    for message, hint in problems:
        tell_problem(console, error.label, message, hint)
    if error.log_path is not None:
        console.print(f"  log: {error.log_path}", soft_wrap=True)
