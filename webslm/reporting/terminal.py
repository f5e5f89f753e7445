"""Own how an examined dataset looks in a terminal. Examine nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from webslm.screen import Screen, shown

BAR = 40
LEARNT = "black on green"
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
    for finding in stats["findings"]:
        console.print(
            Text.assemble(("look at  ", "yellow"), shown(finding["text"])), soft_wrap=True
        )
        for example in finding["examples"]:
            _say(console, f"         {example}")
        _say(console, f"         type: {finding['hint']}")
    if not stats["findings"]:
        console.print(Text.assemble(("ok       ", "green"), "nothing to look at in the rows"))


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


def show_tokens(console: Screen, found: Mapping[str, Any], made_for: int) -> None:
    """Print lengths against the limits, samples with what is learnt in colour, and the steps.

    ``made_for``: tokens that the base was made for.
    """
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
        longest = found["longest"]
        fits = f"lora.max_length={longest} or shorten them"
        told = fits if longest <= made_for else f"shorten them: the base takes {made_for} tokens"
        _say(console, f"         type: {told}")
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
