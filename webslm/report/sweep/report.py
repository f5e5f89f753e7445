"""Own what is told of a sweep: the plan of a dry run, the final table, report.json and its page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from webslm.basics.fs import write_text
from webslm.basics.screen import Screen, tell_problem
from webslm.engine.look import Planned
from webslm.report.sweep.comparison import SIZE, SPEED, Measure, axis, columns, picks, text
from webslm.report.sweep.record import Record

REPORT_NAME = "report.json"
PAGE_NAME = "report.html"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A build of the sweep before it ran."""

    name: str
    planned: Sequence[Planned]


def finish(
    console: Screen,
    folder: Path,
    command: Sequence[str],
    records: Sequence[Record],
    jobs: Sequence[Job],
    metric: str | None,
) -> None:
    """Write the sweep's report and print its table, best picks and failures."""
    report = make_report(command, records, jobs, metric)
    write_text(folder / REPORT_NAME, json.dumps(report, indent=1, sort_keys=True) + "\n")
    write_page(folder, report, records, metric)
    show(console, folder, report, records, metric)


def make_report(
    command: Sequence[str],
    records: Sequence[Record],
    jobs: Sequence[Job],
    metric: str | None,
) -> dict[str, Any]:
    """Return report.json's content: every job, what was shared, the picks, what is missing."""
    recorded = {record.name for record in records}
    missing = [job.name for job in jobs if job.name not in recorded]
    steps = sum(len(record.stages) for record in records)
    failed = [record for record in records if not record.ok]
    return {
        "ok": not failed and not missing and bool(records),
        "command": list(command),
        "metric": metric,
        "jobs": [asdict(record) for record in records],
        "not_run": missing,
        "failed": [record.name for record in failed],
        "exit_code": failed[0].exit_code if failed else 0,
        "steps": steps,
        "executed": sum(record.executed for record in records),
        "picks": picks(records, metric),
    }


def write_page(
    folder: Path, report: Mapping[str, Any], records: Sequence[Record], metric: str | None
) -> None:
    """Write the page: table, plots, picks, failures; self-contained, without scripts."""
    from webslm.report.page import render

    shown = columns(records, metric)
    values = {
        "report": report,
        "command": " ".join(report["command"]),
        "columns": shown,
        "rows": [(record, [each.of(record) for each in shown]) for record in records],
        "plots": _plots(records, shown),
    }
    write_text(folder / PAGE_NAME, render("sweep.html.j2", values))


def _plots(records: Sequence[Record], shown: Sequence[Measure]) -> list[dict[str, Any]]:
    from webslm.report.pictures import Dot, scatter

    quality = next((each for each in shown if each not in (SIZE, SPEED)), None)
    plots = []
    for x, y in ((SIZE, quality), (SIZE, SPEED), (SPEED, quality)):
        if y is None:
            continue
        dots = [
            Dot(x=at_x, y=at_y, label=record.name, good=record.ok)
            for record in records
            if (at_x := x.of(record)) is not None and (at_y := y.of(record)) is not None
        ]
        if dots:
            picture = scatter(dots, x=axis(x), y=axis(y))
            plots.append({"picture": picture, "title": f"{y.label} against {x.label}"})
    return plots


def show(
    console: Screen,
    folder: Path,
    report: Mapping[str, Any],
    records: Sequence[Record],
    metric: str | None,
) -> None:
    """Print one line per job, the picks and every failure."""
    from rich.table import Table
    from rich.text import Text

    shown = columns(records, metric)
    table = Table(title="sweep", title_justify="left", box=None, pad_edge=False)
    table.add_column(
        "job", overflow="fold", min_width=max((len(r.name) for r in records), default=3)
    )
    for name in ("", "ran", "time", *(axis(each) for each in shown)):
        table.add_column(name)
    for record in records:
        mark = Text("ok", "green") if record.ok else Text(f"exit {record.exit_code}", "red")
        cells = [text(each.of(record)) for each in shown]
        ran = f"{record.executed}/{len(record.stages)}"
        table.add_row(record.name, mark, ran, f"{record.seconds:.1f} s", *cells)
    console.print()
    console.print(table)
    console.print(
        f"{report['executed']} stages ran for {report['steps']} steps",
        soft_wrap=True,
    )
    for pick in report["picks"]:
        told = f"{text(pick['value'])} {pick['unit']}".strip()
        console.print(f"best by {pick['by']}: {pick['name']} ({told})", soft_wrap=True)
    for record in records:
        for message, hint in (record.error or {}).get("problems", []):
            tell_problem(console, record.name, message, hint)
    for name in report["not_run"]:
        tell_problem(console, name, "did not run", None)
    console.print(f"report {folder / PAGE_NAME}", soft_wrap=True)


def show_plan(console: Screen, jobs: Sequence[Job]) -> None:
    """Print what a sweep would do: every job's own steps, and what they share."""
    from rich.table import Table

    seen: set[tuple[str, str]] = set()
    table = Table(title="plan of the sweep", title_justify="left", box=None, pad_edge=False)
    table.add_column("job", overflow="fold", min_width=max(len(job.name) for job in jobs))
    for name in ("runs", "shared or stored"):
        table.add_column(name)
    for job in jobs:
        runs, ready = [], 0
        for each in job.planned:
            address = (each.step.stage, each.step.key)
            if address in seen or not each.runs:
                ready += 1
            else:
                runs.append(each.step.stage)
            seen.add(address)
        table.add_row(job.name, ", ".join(runs) or "nothing", str(ready))
    console.print(table)
