"""Own the file of questions outside the domain: chat rows with words that a right answer has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.basics.encoding import printable
from webslm.basics.errors import ConfigError, Problem
from webslm.basics.paths import resolve_data
from webslm.rows.dataset import normal, told
from webslm.rows.files import read_records
from webslm.rows.keys import BadRow
from webslm.rows.roles import Message
from webslm.rows.shapes import to_conversation
from webslm.schema import EvaluateConf

KEY = "evaluate.general_path"
EXPECTED = 'such as "expected": ["Paris"]'
SHAPE = 'a row is {"question": ..., "answer": ..., "expected": [...]}, or one of docs/data.md'
QUESTIONS = ("question", "prompt", "query", "instruction", "input", "q")
"""Keys of a question that may stand with expected words alone."""
TOLD = frozenset(
    ("answer", "output", "response", "completion", "messages", "conversations", "conversation")
)
"""Keys of what is answered: such a row is read in its own shape."""


@dataclass(frozen=True, kw_only=True)
class GeneralRow:
    """A question outside the domain."""

    messages: list[Message]
    expected: tuple[str, ...]
    """Words or runs of words of which a right answer holds one; empty: none is looked for."""


def read_general(path: Path) -> list[GeneralRow]:
    """Return the rows of a file, in any shape that training rows may have.

    Raises:
        ConfigError: Holds one problem per bad row, each with the file, the line and what to do.
    """
    label = printable(path.name)
    rows: list[GeneralRow] = []
    problems: list[Problem] = []
    for line, record in read_records(path, KEY):
        try:
            rows.append(_row(record))
        except BadRow as exc:
            # What is typed for training rows does nothing here.
            hint = SHAPE if "data." in exc.hint else exc.hint
            problems.append((f"{KEY}: {label}:{line}: {exc}", hint))
    if not rows and not problems:
        problems.append((f"{KEY}: {label}: no rows", "one conversation a line"))
    if problems:
        raise told(problems, label)
    return rows


def check_general(conf: EvaluateConf) -> None:
    """Check the file that a configuration names, if it is there.

    Raises:
        ConfigError: A row is bad, or none names the word that a gate asks for.
    """
    path = resolve_data(conf.general_path)
    if not conf.enabled or not path.is_file():
        return
    rows = read_general(path)
    if conf.gates.min_known is not None and not any(row.expected for row in rows):
        raise ConfigError(
            f"evaluate.gates.min_known: no row of {conf.general_path} names an expected word",
            hint=EXPECTED,
        )


def known(answer: str, expected: tuple[str, ...]) -> bool:
    """Return whether an answer holds one of the expected words, whole; case means nothing."""
    said = f" {normal(answer)} "
    return any(f" {normal(word)} " in said for word in expected)


def _row(record: Any) -> GeneralRow:
    if isinstance(record, BadRow):
        raise record
    words: list[str] = []
    if isinstance(record, dict):
        words = _words(record.get("expected"))
        record = {key: value for key, value in record.items() if key != "expected"}
        asked = [record[key] for key in QUESTIONS if isinstance(record.get(key), str)]
        if words and len(asked) == 1 and not TOLD & set(record):
            record = {"question": asked[0], "answer": words[0]}
    turns = to_conversation(record, {}).turns
    return GeneralRow(messages=[turn.message for turn in turns], expected=tuple(words))


def _words(given: Any) -> list[str]:
    """Return expected words: one or a list of them, whole numbers too."""
    words = given if isinstance(given, list) else [] if given is None else [given]
    if not all(isinstance(word, str | int) and not isinstance(word, bool) for word in words):
        raise BadRow('"expected" is no list of words', EXPECTED)
    found = [str(word) for word in words]
    if not all(normal(word) for word in found):
        raise BadRow('"expected" holds a word without a letter or digit', EXPECTED)
    return found
