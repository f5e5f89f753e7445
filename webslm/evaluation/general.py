"""Own the file of questions outside the domain: chat rows with words that a right answer has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.corpus.files import read_records
from webslm.dataset import MAX_REPORTED, BadRow, Message, check_messages, normal
from webslm.errors import ConfigError

EXPECTED = 'such as "expected": ["Paris"]'


@dataclass(frozen=True, kw_only=True)
class GeneralRow:
    """A question outside the domain."""

    messages: list[Message]
    expected: tuple[str, ...]
    """Words or runs of words of which a right answer holds one; empty: none is looked for."""


def read_general(path: Path) -> list[GeneralRow]:
    """Return the rows of a chat JSONL file; other keys than "messages" and "expected" mean nothing.

    Raises:
        ConfigError: Holds one problem per bad line, each with the file, the line and what to do.
    """
    rows: list[GeneralRow] = []
    problems: list[tuple[str, str | None]] = []
    for line, value in read_records(path):
        try:
            rows.append(_row(value))
        except BadRow as exc:
            problems.append((f"{path.name}:{line}: {exc}", exc.hint))
    if not rows and not problems:
        problems.append((f"{path.name}: no rows", "one conversation a line, see docs/evaluate.md"))
    if problems:
        raise ConfigError(problems=tuple(problems[:MAX_REPORTED]))
    return rows


def known(answer: str, expected: tuple[str, ...]) -> bool:
    """Return whether an answer holds one of the expected words, whole; case means nothing."""
    said = f" {normal(answer)} "
    return any(f" {normal(word)} " in said for word in expected)


def _row(value: Any) -> GeneralRow:
    if isinstance(value, BadRow):
        raise value
    if not isinstance(value, dict) or "messages" not in value:
        raise BadRow('no "messages"', 'a row is {"messages": [{"role": ..., "content": ...}]}')
    given = value.get("expected") or []
    words = [given] if isinstance(given, str) else given
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadRow('"expected" is no list of words', EXPECTED)
    if not all(normal(word) for word in words):
        raise BadRow('"expected" holds a word without a letter or digit', EXPECTED)
    return GeneralRow(messages=check_messages(value["messages"]), expected=tuple(words))
