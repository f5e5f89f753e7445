"""Own checked rows: what they may share, how they split. Know no file and no model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from webslm.basics.errors import ConfigError, Problem
from webslm.rows.roles import Message, answers

MAX_REPORTED = 20
"""Problems of a file that are shown; how many there are is always said."""
SKIP_HINT = "data.skip_bad=true leaves such rows out and counts them"
_SIGN = re.compile(r"(?<=[\w)])\s*([-+*/^=<>\u00d7\u00f7\u2212])\s*(?=[\d(])")
"""What stands before a number and makes a sum another one."""


@dataclass(frozen=True)
class Row:
    """One conversation and the line of its file."""

    line: int
    messages: tuple[Message, ...]
    file: str = ""
    """Name of that file where several are read as one."""
    unlearnt: frozenset[int] = frozenset()
    """Positions in ``messages`` of the assistant's turns that carry no loss."""

    def where(self, label: str) -> str:
        """Return ``FILE:LINE`` for a message; ``label`` stands in where no file is known."""
        return f"{self.file or label}:{self.line}"

    @property
    def system(self) -> str | None:
        """The system prompt, or None."""
        first = self.messages[0]
        return first["content"] if first["role"] == "system" else None

    @property
    def questions(self) -> tuple[str, ...]:
        """The user's turns, in order."""
        return tuple(item["content"] for item in self.messages if item["role"] == "user")

    @property
    def answers(self) -> tuple[str, ...]:
        """The assistant's turns that are learnt, in order."""
        return tuple(
            self.messages[at]["content"] for at in answers(self.messages) if at not in self.unlearnt
        )

    @property
    def opens_learnt(self) -> bool:
        """Whether the answer to the first question is learnt."""
        return answers(self.messages)[0] not in self.unlearnt


def told(problems: Sequence[Problem], label: str, hint: str | None = None) -> ConfigError:
    """Return the error of a file's problems: the first of them, and how many there are in all."""
    shown = tuple(problems[:MAX_REPORTED])
    if len(problems) > len(shown):
        left = f"{label}: {len(shown)} of {len(problems)} problems shown"
        shown = (*shown, (left, hint))
    return ConfigError(problems=shown)


def check_one_system(rows: Sequence[Row], label: str) -> None:
    """Check that all rows have the same system prompt, or all have none.

    Raises:
        ConfigError: Names the first row that differs.
    """
    first = rows[0]
    for row in rows:
        if row.system != first.system:
            where = row.where(label)
            raise ConfigError(
                f"{where}: another system prompt than line {first.line}"
                if row.system
                else f"{where}: no system prompt, unlike line {first.line}",
                hint="the page sends exactly one: use one in all rows, or data.system=TEXT",
            )


def repeated(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return (row, earlier row) for every row that opens with a question asked before."""
    seen: dict[str, Row] = {}
    found = []
    for row in rows:
        opening = asked(row.questions[0])
        if opening in seen:
            found.append((row, seen[opening]))
        seen.setdefault(opening, row)
    return found


def leaked(train: Sequence[Row], held_out: Sequence[Row]) -> list[tuple[Row, Row, str]]:
    """Return (held-out row, training row, question) for every question that stands in both."""
    trained = {asked(question): row for row in train for question in row.questions}
    return [
        (row, trained[asked(question)], question)
        for row in held_out
        for question in row.questions
        if asked(question) in trained
    ]


def check_rows(rows: Sequence[Row], label: str) -> None:
    """Check what concerns several rows: one system prompt, no question twice.

    Raises:
        ConfigError: Holds every problem found.
    """
    problems: list[Problem] = []
    try:
        check_one_system(rows, label)
    except ConfigError as exc:
        problems += exc.problems
    problems += [
        (
            f"{row.where(label)}: asks the same as line {earlier.line}: {row.questions[0]!r}",
            "keep one of the two rows, or data.skip_bad=true",
        )
        for row, earlier in repeated(rows)
    ]
    if problems:
        raise told(problems, label, SKIP_HINT)


def check_leakage(train: Sequence[Row], held_out: Sequence[Row], label: str) -> None:
    """Check that no held-out question is trained.

    Raises:
        ConfigError: Names each held-out line and the training line it repeats.
    """
    problems = [
        (
            f"{row.where(label)}: question only to be asked stands in training line {other.line}: "
            f"{question!r}",
            "remove it from one of the two",
        )
        for row, other, question in leaked(train, held_out)
    ]
    if problems:
        raise told(problems, label, SKIP_HINT)


def split_rows(rows: Sequence[Row], *, fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Split rows into (train, held out) by a digest of seed and first question: stable under edits.

    Rows that share a question stay on one side, so that none is lost: a group that is larger than
    what is left to hold out is trained. At least one row is trained.
    """
    left = min(int(len(rows) * fraction), len(rows) - 1)
    chosen: set[int] = set()
    for group in sorted(_groups(rows), key=lambda group: min(_rank(row, seed) for row in group)):
        if left and len(group) <= left:
            chosen |= {id(row) for row in group}
            left -= len(group)
    return (
        [row for row in rows if id(row) not in chosen],
        [row for row in rows if id(row) in chosen],
    )


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows in groups that have no question in common."""
    parents = list(range(len(rows)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number

    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        for text in map(asked, row.questions):
            parents[root(number)] = root(first.setdefault(text, number))
    groups: dict[int, list[Row]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(root(number), []).append(row)
    return list(groups.values())


def normal(text: str) -> str:
    """Return a question without case, punctuation and spacing, for comparison."""
    kept = "".join(char if char.isalnum() else " " for char in text.casefold())
    return " ".join(kept.split())


def asked(question: str) -> str:
    """Return a question as it counts for being asked twice: ``normal``, and what a sum does.

    Of a question without a letter or digit, the text itself.
    """
    signs = _SIGN.sub(lambda sign: f" sign{ord(sign.group(1))} ", question)
    return normal(signs) or question.casefold().strip()


def _rank(row: Row, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{normal(row.questions[0])}".encode()).hexdigest()
