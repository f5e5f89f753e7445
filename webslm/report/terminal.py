"""Own how an examined dataset looks in a terminal. Examine nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from webslm.basics.screen import Screen, shown

BAR = 40
LEARNT = "black on green"
UNUSED = ("left_out", "keys_not_read", "files_not_read")
"""Findings on what of the data is not used."""
MARKS = ("[[", "]]")
"""Around what is learnt where a terminal has no colours."""


def show_rows(console: Screen, stats: Mapping[str, Any]) -> None:
    """Print the sets in numbers and every finding with its examples."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "train", "held out"):
        table.add_column(column, justify="left" if not column else "right")
    for label, left, right in set_rows(stats):
        table.add_row(label, left, right)
    console.print(table)
    prompt = stats["system_prompt"]
    _say(console, f"system prompt: {'none in any row' if prompt is None else repr(prompt)}")
    shapes = ", ".join(f"{name} x {count}" for name, count in stats["shapes"].items())
    _say(console, f"read as: {shapes}")
    for line in account_lines(stats):
        _say(console, line)
    for finding in stats["findings"]:
        console.print(
            Text.assemble(("look at  ", "yellow"), shown(finding["text"])), soft_wrap=True
        )
        for example in finding["examples"]:
            _say(console, f"         {example}")
        _say(console, f"         type: {finding['hint']}")
    if not stats["findings"]:
        console.print(Text.assemble(("ok       ", "green"), "nothing to look at in the rows"))


def account_lines(stats: Mapping[str, Any]) -> Iterator[str]:
    """Yield what became of every record, and what reading changed."""
    records = stats["records"]
    parts = [
        f"{records[key]} {label}"
        for key, label in (
            ("learnt", "learnt"),
            ("held_out", "held out"),
            ("asked", "only asked"),
            ("left_out", "left out"),
        )
        if records[key] or key in ("learnt", "held_out")
    ]
    yield f"records: {records['read']} read = {' + '.join(parts)}"
    if stats["line_ends_rewritten"]:
        yield f"line ends: \\r\\n or \\r read as \\n in {stats['line_ends_rewritten']} records"
    if stats["turns_without_loss"]:
        yield f"loss: {stats['turns_without_loss']} answers carry none, as their rows say"


def told_of_reading(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a build says of the data it read: the account, and what was not used of it."""
    if "records" in metrics:
        yield from account_lines(metrics)
        yield from (item["text"] for item in metrics["findings"] if item["kind"] in UNUSED)
    elif metrics.get("keys_not_read"):
        keys = ", ".join(f"{key} x {count}" for key, count in metrics["keys_not_read"].items())
        yield f"keys not read: {keys}"


def set_rows(stats: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (label, train, held out) of the numbers of both sets."""
    sets = (stats["train"], stats["held_out"])
    for label, key in (
        ("rows", "rows"),
        ("of several turns", "multi_turn_rows"),
        ("answers", "answers"),
        ("words a question", "question_words_mean"),
        ("words an answer", "answer_words_mean"),
        ("longest answer, words", "answer_words_longest"),
    ):
        left, right = (f"{item[key]:g}" for item in sets)
        yield label, left, right
    for name in stats["train"]["signatures"]:
        shares = [item["signatures"][name] for item in sets]
        left, right = ("none" if share is None else f"{share:.0%}" for share in shares)
        yield f"with the signature {name!r}", left, right


def show_tokens(console: Screen, found: Mapping[str, Any]) -> None:
    """Print lengths against the limits, samples with what is learnt in colour, and the steps."""
    limit, context = found["max_length"], found["context_window_size"]
    _say(
        console,
        f"\nrow lengths in tokens ({found['inspected']} of {found['rows']} rows; "
        f"lora.max_length {limit}, the page's context {context})",
    )
    tallest = max(count for _, _, count in found["histogram"])
    for first, last, count in found["histogram"]:
        bar = "#" * round(BAR * count / tallest)
        style = "red" if last > limit else ""
        console.print(Text(f"{first:>6}-{last:<6}{count:>6} {bar}", style=style), soft_wrap=True)
    long = found["too_long"]
    if long["count"]:
        told = f"{long['count']} rows are longer than lora.max_length={limit}: training would stop"
        console.print(Text.assemble(("look at  ", "yellow"), told), soft_wrap=True)
        lines = ", ".join(map(str, long["lines"]))
        _say(console, f"         training rows {lines}")
        most_allowed = found.get("positions")
        if most_allowed is None or found["longest"] <= most_allowed:
            _say(console, f"         type: lora.max_length={found['longest']} or shorten them")
        else:
            _say(console, f"         shorten them: the base was made for {most_allowed} tokens")
    if found["answer_by_answer"]:
        _say(
            console,
            f"{found['answer_by_answer']} rows of several answers are learnt answer by answer: "
            "the chat template renders earlier answers otherwise",
        )
    plan = found["plan"]
    made = f" ({plan['copies']} copies of each row among them)" if plan["copies"] else ""
    _say(
        console,
        f"{plan['steps']} optimiser steps: {plan['epochs']:g} epochs{made} of "
        f"{plan['steps_per_epoch']} steps of {plan['rows_per_step']} rows; "
        f"{found['trained_share']:.0%} of the tokens carry loss ({found['loss']})",
    )
    plain = console.color_system is None
    for item in found["samples"]:
        _say(console, f"\nrow {item['line']} as it is trained ({item['tokens']} tokens):")
        console.print(marked(item["pieces"], plain=plain), soft_wrap=True)
    legend = marked([{"loss": True, "text": "marked text"}], plain=plain)
    console.print(Text("\n") + legend + " carries loss: it is learnt")


def marked(pieces: Sequence[Mapping[str, Any]], *, plain: bool) -> Text:
    """Return a sample in which what carries loss is coloured; ``plain``: between brackets."""
    text = Text()
    for piece in pieces:
        learnt = piece["loss"]
        letters = shown(piece["text"])
        told = f"{MARKS[0]}{letters}{MARKS[1]}" if learnt and plain else letters
        text.append(told, style=LEARNT if learnt and not plain else "")
    return text


def _say(console: Screen, line: str) -> None:
    console.print(line, soft_wrap=True)
