"""Own how a survival report looks in a terminal: what a reader asks for first, and gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from webslm.report.survival import STEP_WORDS, gate_facts

ROWS = (
    ("trained", "rouge_l", "trained: ROUGE-L", "{:.2f}"),
    ("paraphrased", "right", "paraphrased: right", "{:.0%}"),
    ("follow_up", "right", "follow-ups: right", "{:.0%}"),
    ("held_out", "stop_rate", "held out: ends by itself", "{:.0%}"),
    ("held_out", "signature", "held out: the domain's manner", "{:.0%}"),
    ("general", "known", "general: an expected word", "{:.0%}"),
    ("general", "loss", "general: loss, nats a token", "{:.2f}"),
)


def show_evaluation(console: Console, found: Mapping[str, Any]) -> None:
    """Print what each step makes of the questions, then the gates that were asked for.

    Args:
        console: Where to.
        found: The metrics of ``evaluate``.
    """
    # Adapter and merged weights differ in nothing that these numbers show.
    steps = [step for step in found["steps"] if step != "adapter"]
    table = Table(title="what each step kept, in torch", title_justify="left")
    table.add_column("questions")
    for step in steps:
        table.add_column(STEP_WORDS[step], justify="right")
    table.add_column("n", justify="right")
    for label, cells in _rows(found["results"], steps):
        table.add_row(label, *cells)
    console.print(table)
    for verdict in map(gate_facts, found["gates"]):
        state = ("passed   ", "green") if verdict["passed"] else ("failed   ", "red")
        seen = verdict["seen"] + (f" [{verdict['interval']}]" if verdict["interval"] else "")
        told = f"{verdict['words']}: {seen}, {verdict['asks']} asked for"
        console.print(Text.assemble(state, told), soft_wrap=True)


def _rows(results: Mapping[str, Any], steps: list[str]) -> Iterator[tuple[str, list[str]]]:
    for name, key, label, shape in ROWS:
        scored = [results[step].get(name, {}) for step in steps]
        if all(key in item for item in scored):
            values = [shape.format(item[key]["value"]) for item in scored]
            count = scored[0]["n" if key == "loss" else "answered"]
            yield label, [*values, str(count)]
