"""Own rows that ask trained questions in other words: what makes them fit the training rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webslm.basics.errors import Problem
from webslm.rows.dataset import Row, normal, told


def check_paraphrases(rows: Sequence[Row], paraphrases: Sequence[Row], label: str) -> None:
    """Check that every paraphrase asks once and has the answer of some row.

    Raises:
        ConfigError: Names each line that does not.
    """
    problems = list(_problems(_answers(rows), paraphrases, label))
    if problems:
        raise told(problems, label)


def trained(train: Sequence[Row], paraphrases: Sequence[Row]) -> list[Row]:
    """Return the paraphrases whose answer is trained: a split may have kept its row out."""
    answers = _answers(train)
    return [row for row in paraphrases if normal(row.answers[0]) in answers]


def _answers(rows: Sequence[Row]) -> frozenset[str]:
    return frozenset(normal(answer) for row in rows for answer in row.answers)


def _problems(answers: frozenset[str], paraphrases: Sequence[Row], label: str) -> Iterator[Problem]:
    for row in paraphrases:
        if len(row.questions) > 1:
            yield (
                f"{row.where(label)}: a paraphrase of {len(row.questions)} turns",
                "keep one question and its answer",
            )
        elif normal(row.answers[0]) not in answers:
            yield (
                f"{row.where(label)}: no training row has this paraphrase's answer",
                "copy the answer of the row whose question it puts in other words",
            )
