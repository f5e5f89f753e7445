"""Own what is told of a sweep: the plan of a dry run, the final table, report.json and its page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.cache import Cache
from webslm.fs import write_text
from webslm.plan import Step
from webslm.sweep.record import Record

if TYPE_CHECKING:
    from rich.console import Console

REPORT_NAME = "report.json"
PAGE_NAME = "report.html"
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job before it ran."""

    name: str
    steps: Sequence[Step]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of the comparison."""

    key: str
    label: str
    higher_is_better: bool
    unit: str = ""
    scale: float = 1.0

    def of(self, record: Record) -> float | None:
        """Return the record's value in the column's unit, or None."""
        value = record.measures.get(self.key)
        return None if value is None else value * self.scale


SIZE = Measure(
    key="convert.bytes", label="weights", higher_is_better=False, unit="MiB", scale=1 / MIB
)
QUALITY = (
    Measure(key="verify.rouge_l", label="ROUGE-L of trained answers", higher_is_better=True),
    Measure(
        key="verify.forced_top1_agreement.merged",
        label="top-1 as unquantized",
        higher_is_better=True,
        unit="%",
        scale=100,
    ),
    Measure(
        key="convert.worst_rms_relative_error",
        label="worst tensor error",
        higher_is_better=False,
        unit="%",
        scale=100,
    ),
    Measure(key="finetune.last_loss", label="last training loss", higher_is_better=False),
)
SPEED = Measure(
    key="verify.decode_tok_s", label="speed in the proof", higher_is_better=True, unit="tokens/s"
)


def finish(
    console: Console,
    folder: Path,
    command: Sequence[str],
    records: Sequence[Record],
    planned: Sequence[Planned],
    metric: str | None,
) -> None:
    """Write the sweep's report and print its table, best picks and failures."""
    report = make_report(command, records, planned, metric)
    write_text(folder / REPORT_NAME, json.dumps(report, indent=1, sort_keys=True) + "\n")
    write_page(folder, report, records, metric)
    show(console, folder, report, records, metric)


def make_report(
    command: Sequence[str],
    records: Sequence[Record],
    planned: Sequence[Planned],
    metric: str | None,
) -> dict[str, Any]:
    """Return report.json's content: every job, what was shared, the picks, what is missing."""
    recorded = {record.name for record in records}
    missing = [job.name for job in planned if job.name not in recorded] if planned else []
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


def columns(records: Sequence[Record], metric: str | None) -> list[Measure]:
    """Return the measures that some job has, the sweep's own metric first."""
    known = [SIZE, *QUALITY, SPEED]
    if metric is not None and metric not in [each.key for each in known]:
        known.insert(0, Measure(key=metric, label=metric, higher_is_better=True))
    return [each for each in known if any(each.of(record) is not None for record in records)]


def picks(records: Sequence[Record], metric: str | None) -> list[dict[str, Any]]:
    """Return the best finished job by every measure; of equals the smallest, then the first."""
    good = [record for record in records if record.ok]
    found = []
    for each in columns(good, metric):
        # Which way the sweep's own metric improves is the sweeper's business.
        if each.key == metric and each.label == metric:
            continue
        having = [record for record in good if each.of(record) is not None]
        best = min(having, key=lambda record: (_rank(each, record), _rank(SIZE, record)))
        found.append(
            {"by": each.label, "name": best.name, "value": each.of(best), "unit": each.unit}
        )
    return found


def _rank(each: Measure, record: Record) -> float:
    value = each.of(record)
    if value is None:
        return float("inf")
    return -value if each.higher_is_better else value


def write_page(
    folder: Path, report: Mapping[str, Any], records: Sequence[Record], metric: str | None
) -> None:
    """Write the page: table, plots, picks, failures; self-contained, without scripts."""
    from webslm.reporting.page import render

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
    from webslm.reporting.pictures import Dot, scatter

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
            picture = scatter(dots, x=_axis(x), y=_axis(y))
            plots.append({"picture": picture, "title": f"{y.label} against {x.label}"})
    return plots


def _axis(each: Measure) -> str:
    return f"{each.label} ({each.unit})" if each.unit else each.label


def show(
    console: Console,
    folder: Path,
    report: Mapping[str, Any],
    records: Sequence[Record],
    metric: str | None,
) -> None:
    """Print one line per job, the picks and every failure."""
    from rich.markup import escape
    from rich.table import Table

    shown = columns(records, metric)
    table = Table(title="sweep", title_justify="left", box=None, pad_edge=False)
    table.add_column(
        "job", overflow="fold", min_width=max((len(r.name) for r in records), default=3)
    )
    for name in ("", "ran", "time", *(_axis(each) for each in shown)):
        table.add_column(name)
    for record in records:
        mark = "[green]ok[/]" if record.ok else f"[red]exit {record.exit_code}[/]"
        cells = [text(each.of(record)) for each in shown]
        ran = f"{record.executed}/{len(record.stages)}"
        table.add_row(escape(record.name), mark, ran, f"{record.seconds:.1f} s", *cells)
    console.print()
    console.print(table)
    console.print(
        f"{report['executed']} stages ran for {report['steps']} steps",
        highlight=False,
        soft_wrap=True,
    )
    for pick in report["picks"]:
        told = f"{text(pick['value'])} {pick['unit']}".strip()
        console.print(
            f"best by {pick['by']}: {pick['name']} ({told})", highlight=False, soft_wrap=True
        )
    for record in records:
        for message, hint in (record.error or {}).get("problems", []):
            console.print(
                f"[red]{record.name}:[/] {escape(message)}", highlight=False, soft_wrap=True
            )
            if hint:
                console.print(f"  [yellow]hint:[/] {escape(hint)}", highlight=False, soft_wrap=True)
    for name in report["not_run"]:
        console.print(f"[red]{name}:[/] did not run", highlight=False, soft_wrap=True)
    console.print(f"report {folder / PAGE_NAME}", highlight=False, soft_wrap=True)


def text(value: float | None) -> str:
    """Return a number as a reader wants it."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def show_plan(console: Console, planned: Sequence[Planned], cache: Cache) -> None:
    """Print what a sweep would do: every job's own steps, and what they share."""
    from rich.table import Table

    seen: set[tuple[str, str]] = set()
    table = Table(title="plan of the sweep", title_justify="left", box=None, pad_edge=False)
    table.add_column("job", overflow="fold", min_width=max(len(job.name) for job in planned))
    for name in ("runs", "shared or stored"):
        table.add_column(name)
    for job in planned:
        runs, kept = [], 0
        for step in job.steps:
            address = (step.stage, step.key)
            if address in seen or cache.lookup(*address) is not None:
                kept += 1
            else:
                runs.append(step.stage)
            seen.add(address)
        table.add_row(job.name, ", ".join(runs) or "nothing", str(kept))
    console.print(table)
