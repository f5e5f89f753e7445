"""Own the examination of checked rows: what each set is like, and what a person should look at.

A mistake that makes rows unusable is an error long before; what is found here may be meant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from webslm.rows.dataset import Row
from webslm.rows.findings import SHOWN, Finding, reading
from webslm.rows.mojibake import mojibake
from webslm.rows.personal import personal_data
from webslm.rows.similarity import Pair, first_of_each_answer, near_duplicates
from webslm.rows.source import Split
from webslm.schema import DataConf

SENTENCE = re.compile(r"(?<=[.!?])\s+")
FINISHED = re.compile(r"[.!?\u2026\u3002\uff01\uff1f)\]}>`'\"\u2019\u201d|*:;\d]$")
"""How a text that was not cut ends: a sentence, a bracket, a quote, code, a table or a number."""
CLIPPED = 90
KINDS = (
    *("left_out", "system_replaced", "near_duplicates", "near_leaks", "unfinished"),
    *("personal_data", "mojibake", "signature", "no_held_out", "keys_not_read"),
    *("files_not_read",),
)
"""What can be found; ``data.refuse`` names those that end a build."""


def examine(split: Split, data: DataConf) -> dict[str, Any]:
    """Return what ``stats.json`` holds: the sets in numbers and the findings, as plain JSON."""
    findings = [item for check in CHECKS for item in check(split, data)]
    return {
        "system_prompt": split.train[0].system,
        "records": split.account(),
        **split.changes.notes(),
        "shapes": dict(sorted(split.changes.shapes.items())),
        "left_out": dict(sorted(split.changes.left_out.items())),
        "train": describe(split.train, data),
        "held_out": describe(split.held_out, data),
        "rephrased": len(split.train) - len(first_of_each_answer(split.train)),
        "paraphrases": len(split.paraphrases),
        "findings": [vars(item) for item in findings],
    }


def describe(rows: Sequence[Row], data: DataConf) -> dict[str, Any]:
    """Return counts, words (mean and longest) and the share of answers with each signature.

    A share is None where there is no answer. ``closing`` is one of the signatures: the rule for
    the last sentence; ``closing_share`` is None without that rule.
    """
    answers = [answer for row in rows for answer in row.answers]
    questions = [question for row in rows for question in row.questions]
    shares = {
        name: round(sum(map(has, answers)) / len(answers), 4) if answers else None
        for name, has in signatures(data.closing, data.signatures).items()
    }
    return {
        "rows": len(rows),
        "multi_turn_rows": sum(len(row.questions) > 1 for row in rows),
        "answers": len(answers),
        "question_words_mean": _mean_words(questions),
        "answer_words_mean": _mean_words(answers),
        "answer_words_longest": max((len(text.split()) for text in answers), default=0),
        "closing_share": shares.get("closing"),
        "signatures": shares,
    }


def signatures(closing: str | None, named: Mapping[str, str]) -> dict[str, Callable[[str], bool]]:
    """Return by name whether an answer bears a signature: a rule of the domain or of the user.

    Args:
        closing: Expression for the last sentence, or None.
        named: Expressions for any place in the answer, by name.
    """
    found: dict[str, Callable[[str], bool]] = {}
    if closing is not None:
        last = re.compile(closing, re.IGNORECASE)
        found["closing"] = lambda text: bool(last.search(SENTENCE.split(text.strip())[-1]))
    for name, expression in named.items():
        anywhere = re.compile(expression, re.IGNORECASE)
        found[name] = lambda text, anywhere=anywhere: bool(anywhere.search(text))  # type: ignore[misc]
    return found


def _likeness(split: Split, data: DataConf) -> Iterator[Finding]:
    for kind, what, pairs in (
        ("near_duplicates", "training rows nearly repeat another", _pairs(split.train, None, data)),
        (
            "near_leaks",
            "held-out rows nearly repeat a trained one",
            _pairs(split.held_out, split.train, data),
        ),
    ):
        count = len({id(pair.row) for pair in pairs})
        if count:
            yield Finding(
                kind=kind,
                text=f"{count} {what}",
                hint="rewrite or remove one of each pair; "
                f"pairs count from data.near_duplicate={data.near_duplicate:g} on",
                examples=[_told(pair) for pair in pairs[:SHOWN]],
            )


def _pairs(rows: Sequence[Row], others: Sequence[Row] | None, data: DataConf) -> list[Pair]:
    return near_duplicates(rows, others, threshold=data.near_duplicate)


def _told(pair: Pair) -> str:
    theirs, ours = (
        item.questions[0] if pair.part == "question" else item.answers[0]
        for item in (pair.other, pair.row)
    )
    return (
        f"{pair.part}s {pair.similarity:.0%} alike: {pair.row.where('line')} "
        f"{_clip(ours)!r} and {pair.other.where('line')} {_clip(theirs)!r}"
    )


def _unfinished(split: Split, data: DataConf) -> Iterator[Finding]:
    del data
    cut = [
        (row, answer)
        for row in (*split.train, *split.held_out)
        for answer in row.answers
        if not FINISHED.search(answer.rstrip())
    ]
    if cut:
        yield Finding(
            kind="unfinished",
            text=f"{len(cut)} answers do not end like a finished text",
            hint="a model that learns cut answers stops in the middle: complete them",
            examples=[f"{row.where('line')}: ...{answer.rstrip()[-60:]}" for row, answer in cut][
                :SHOWN
            ],
        )


def _personal(split: Split, data: DataConf) -> Iterator[Finding]:
    del data
    seen: Counter[str] = Counter()
    examples = []
    for row in (*split.train, *split.held_out):
        for message in row.messages:
            for kind, text in personal_data(message["content"]):
                seen[kind] += 1
                examples.append(f"{row.where('line')} ({message['role']}): {kind} {text}")
    if seen:
        counted = ", ".join(f"{kind} x {count}" for kind, count in sorted(seen.items()))
        yield Finding(
            kind="personal_data",
            text=f"looks like personal data: {counted}",
            hint="a small model recites its rows: replace real data by invented ones; "
            "'data.refuse=[personal_data]' makes it an error",
            examples=examples[:SHOWN],
        )


def _mojibake(split: Split, data: DataConf) -> Iterator[Finding]:
    del data
    found = [
        f"{row.where('line')} ({message['role']}): {wrong}"
        for row in (*split.train, *split.held_out)
        for message in row.messages
        for wrong in list(mojibake(message["content"]))[:1]
    ]
    if found:
        yield Finding(
            kind="mojibake",
            text=f"{len(found)} texts were read as another encoding than they were written in",
            hint="write them from their source again, as UTF-8",
            examples=found[:SHOWN],
        )


def _signature(split: Split, data: DataConf) -> Iterator[Finding]:
    for name, has in signatures(data.closing, data.signatures).items():
        lacking = [
            (row, answer)
            for row in (*split.train, *split.held_out)
            for answer in row.answers
            if not has(answer)
        ]
        if lacking:
            yield Finding(
                kind="signature",
                text=f"{len(lacking)} answers lack the signature {name!r}",
                hint="complete them, or "
                + ("data.closing=null" if name == "closing" else f"change data.signatures.{name}"),
                examples=[
                    f"{row.where('line')}: ...{answer.strip()[-60:]}" for row, answer in lacking
                ][:SHOWN],
            )


CHECKS: tuple[Callable[[Split, DataConf], Iterator[Finding]], ...] = (
    reading,
    _likeness,
    _unfinished,
    _personal,
    _mojibake,
    _signature,
)


def _clip(text: str) -> str:
    return text if len(text) <= CLIPPED else text[: CLIPPED - 3] + "..."


def _mean_words(texts: Sequence[str]) -> float:
    return round(sum(len(text.split()) for text in texts) / len(texts), 1) if texts else 0.0
