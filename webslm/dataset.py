"""Own the chat JSONL format: read it, check every line, split it. Know nothing of models."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.errors import ConfigError

ROLES = ("system", "user", "assistant")
Message = dict[str, str]
MAX_REPORTED = 20


@dataclass(frozen=True)
class Row:
    """One conversation and the line of its file."""

    line: int
    messages: tuple[Message, ...]
    file: str = ""
    """Name of that file where several are read as one."""

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
        """The assistant's turns, in order."""
        return tuple(item["content"] for item in self.messages if item["role"] == "assistant")


class BadRow(ValueError):
    """What is wrong with one row, and what to do; whoever reads the file adds where."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a chat JSONL file.

    Raises:
        ConfigError: Holds one problem per bad line, each with the file, the line and what to do.
    """
    label = path.name
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as exc:
        raise ConfigError(
            f"{path}: no such file", hint="data.path=FILE names a chat JSONL file"
        ) from exc
    except IsADirectoryError as exc:
        raise ConfigError(f"{path}: a folder, not a file", hint="name the .jsonl file") from exc
    except PermissionError as exc:
        raise ConfigError(f"{path}: cannot be read", hint=f"chmod u+r {path}") from exc
    except UnicodeDecodeError as exc:
        bad = path.read_bytes()[: exc.start].count(b"\n") + 1
        raise ConfigError(f"{label}:{bad}: not UTF-8 text", hint="save the file as UTF-8") from exc
    rows, problems = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(Row(number, tuple(_messages(line))))
        except BadRow as exc:
            problems.append((f"{label}:{number}: {exc}", exc.hint))
    if not rows and not problems:
        problems.append((f"{label}: no rows", "write one conversation a line, see the README"))
    if problems:
        raise ConfigError(problems=tuple(problems[:MAX_REPORTED]))
    return rows


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
        opening = normal(row.questions[0])
        if opening in seen:
            found.append((row, seen[opening]))
        seen.setdefault(opening, row)
    return found


def leaked(train: Sequence[Row], held_out: Sequence[Row]) -> list[tuple[Row, Row, str]]:
    """Return (held-out row, training row, question) for every question that stands in both."""
    trained = {normal(question): row for row in train for question in row.questions}
    return [
        (row, trained[normal(question)], question)
        for row in held_out
        for question in row.questions
        if normal(question) in trained
    ]


def check_rows(rows: Sequence[Row], label: str) -> None:
    """Check what concerns several rows: one system prompt, no question twice.

    Raises:
        ConfigError: Holds every problem found.
    """
    problems: list[tuple[str, str | None]] = []
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
        raise ConfigError(problems=tuple(problems[:MAX_REPORTED]))


def check_leakage(train: Sequence[Row], held_out: Sequence[Row], label: str) -> None:
    """Check that no held-out question is trained.

    Raises:
        ConfigError: Names each held-out line and the training line it repeats.
    """
    problems = tuple(
        (
            f"{row.where(label)}: question only to be asked stands in training line {other.line}: "
            f"{question!r}",
            "remove it from one of the two",
        )
        for row, other, question in leaked(train, held_out)
    )
    if problems:
        raise ConfigError(problems=problems[:MAX_REPORTED])


def split_rows(rows: Sequence[Row], *, fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Split rows into (train, held out) by a digest of seed and first question: stable under edits.

    Rows whose opening question also opens no other row stay whole; at least one row is trained.
    """
    ranked = sorted(rows, key=lambda row: _rank(row, seed))
    count = min(int(len(rows) * fraction), len(rows) - 1)
    chosen = {(row.file, row.line) for row in ranked[:count]}
    train = [row for row in rows if (row.file, row.line) not in chosen]
    trained = {normal(question) for row in train for question in row.questions}
    held_out = [
        row
        for row in rows
        if (row.file, row.line) in chosen
        and not any(normal(text) in trained for text in row.questions)
    ]
    return train, held_out


def dump_rows(rows: Iterable[Row]) -> str:
    """Return rows as chat JSONL."""
    lines = (json.dumps({"messages": list(row.messages)}, ensure_ascii=False) for row in rows)
    return "".join(f"{line}\n" for line in lines)


def normal(text: str) -> str:
    """Return a question without case, punctuation and spacing, for comparison."""
    kept = "".join(char if char.isalnum() else " " for char in text.casefold())
    return " ".join(kept.split())


def _rank(row: Row, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{normal(row.questions[0])}".encode()).hexdigest()


def parse_line(line: str) -> Any:
    """Return the JSON value of a line.

    Raises:
        BadRow: It is no JSON.
    """
    try:
        return json.loads(line)
    except json.JSONDecodeError as exc:
        raise BadRow(
            f"not JSON: {exc.msg} at column {exc.colno}", "write one JSON object a line"
        ) from exc
    except RecursionError as exc:
        raise BadRow("nested too deep", "a row is {'messages': [...]}") from exc


def check_messages(messages: Any) -> list[Message]:
    """Return a conversation's messages, each with role and content, in a learnable order.

    Raises:
        BadRow: A role, a text or their order is wrong.
    """
    if not isinstance(messages, list) or not messages:
        raise BadRow('"messages" is not a list with entries', "give user and assistant turns")
    return _check_order([_message(item, index) for index, item in enumerate(messages, start=1)])


def _messages(line: str) -> list[Message]:
    value = parse_line(line)
    if not isinstance(value, dict):
        raise BadRow("not a JSON object", 'a row is {"messages": [...]}')
    if "messages" not in value:
        raise BadRow('no "messages"', 'a row is {"messages": [{"role": ..., "content": ...}]}')
    return check_messages(value["messages"])


def _message(item: Any, index: int) -> Message:
    if not isinstance(item, dict):
        raise BadRow(f"message {index} is not an object", "write {'role': ..., 'content': ...}")
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise BadRow(
            f"message {index} has the role {role!r}", "use 'system', 'user' or 'assistant'"
        )
    if not isinstance(content, str):
        raise BadRow(f"message {index} ({role}) has no text", "'content' is a string")
    if not content.strip():
        raise BadRow(f"message {index} ({role}) is empty", "write the text or remove the row")
    if any(ord(char) < 32 and char not in "\n\t" for char in content):
        raise BadRow(
            f"message {index} ({role}) holds a control character", "remove it, or use \\n and \\t"
        )
    if any(0xD800 <= ord(char) <= 0xDFFF for char in content):
        raise BadRow(
            f"message {index} ({role}) holds half a surrogate pair", "write the character itself"
        )
    return {"role": role, "content": content}


def _check_order(messages: list[Message]) -> list[Message]:
    roles = [item["role"] for item in messages]
    turns = roles[1:] if roles[0] == "system" else roles
    if "system" in turns:
        raise BadRow("a system message that is not the first", "one system message, first")
    if not turns or turns[0] != "user":
        raise BadRow("the first turn is not the user's", "start with a user turn")
    for before, after in itertools.pairwise(turns):
        if before == after:
            raise BadRow(f"two {before} turns in a row", "user and assistant take turns")
    if turns[-1] != "assistant":
        raise BadRow("ends with the user's turn", "end with the assistant's answer")
    return messages
