"""Own the shapes that one record may have, and how each becomes a conversation.

Rules, the same for every source:

- a conversation keeps all its turns; every assistant turn is learnt;
- a system text that is empty is none; ``data.system`` puts one text in front of every row;
- nothing is guessed: a record that fits no shape is a mistake, named with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from webslm.dataset import BadRow, Message, check_messages

SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
}
COLUMNS = ("messages", "system", "question", "answer")
"""What ``data.columns`` can name."""
SHAPES_HINT = (
    'a row is {"messages": [{"role": ..., "content": ...}]}; ShareGPT ("conversations"), Alpaca '
    '("instruction", "output") and data.columns=\'{question: A, answer: B}\' are read too'
)


def to_messages(record: Any, columns: Mapping[str, str]) -> tuple[str, list[Message]]:
    """Return (name of the shape, messages) of a record.

    Raises:
        BadRow: It has no known shape, or its turns cannot be learnt.
    """
    if not isinstance(record, Mapping):
        raise BadRow("not a JSON object", SHAPES_HINT)
    if columns:
        return "columns", check_messages(_mapped(record, columns))
    for name, keys, convert in _SHAPES:
        if all(key in record for key in keys):
            return name, check_messages(convert(record))
    raise BadRow('no "messages"', SHAPES_HINT)


def with_system(messages: list[Message], system: str | None) -> tuple[list[Message], str | None]:
    """Return messages that start with ``system``, and whether that was added or replaced.

    Without ``system`` the messages stay as they are.
    """
    if system is None:
        return messages, None
    first = {"role": "system", "content": system}
    if messages[0]["role"] != "system":
        return [first, *messages], "added"
    return [first, *messages[1:]], None if messages[0] == first else "replaced"


def _mapped(record: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    for column in columns.values():
        if column not in record:
            near = ", ".join(map(str, record))
            raise BadRow(f"no column {column!r}", f"data.columns names some of: {near}")
    if "messages" in columns:
        return record[columns["messages"]]
    turns = [("system", "system"), ("user", "question"), ("assistant", "answer")]
    return _turns((role, record[columns[key]]) for role, key in turns if key in columns)


def _chat(record: Mapping[str, Any]) -> Any:
    return record["messages"]


def _sharegpt(record: Mapping[str, Any]) -> Any:
    said = record["conversations"]
    if not isinstance(said, list) or not all(isinstance(item, Mapping) for item in said):
        raise BadRow('"conversations" is not a list of turns', SHAPES_HINT)
    turns = [(str(item.get("from")), item.get("value")) for item in said]
    unknown = next((name for name, _ in turns if name not in SHAREGPT_ROLES), None)
    if unknown is not None:
        known = ", ".join(SHAREGPT_ROLES)
        raise BadRow(f"a turn is from {unknown!r}", f"turns can be from {known}")
    if isinstance(record.get("system"), str) and turns and turns[0][0] != "system":
        turns.insert(0, ("system", record["system"]))
    return _turns((SHAREGPT_ROLES[name], text) for name, text in turns)


def _alpaca(record: Mapping[str, Any]) -> Any:
    question = record["instruction"]
    if isinstance(question, str) and isinstance(record.get("input"), str):
        question = "\n\n".join(part for part in (question, record["input"]) if part.strip())
    return _turns(
        [("system", record.get("system")), ("user", question), ("assistant", record["output"])]
    )


def _pair(question: str, answer: str) -> Callable[[Mapping[str, Any]], Any]:
    def convert(record: Mapping[str, Any]) -> Any:
        return _turns(
            [
                ("system", record.get("system")),
                ("user", record[question]),
                ("assistant", record[answer]),
            ]
        )

    return convert


def _turns(turns: Any) -> list[dict[str, Any]]:
    """Return messages; a system turn without text is left out."""
    return [
        {"role": role, "content": text}
        for role, text in turns
        if role != "system" or (isinstance(text, str) and text.strip())
    ]


_SHAPES: tuple[tuple[str, tuple[str, ...], Callable[[Mapping[str, Any]], Any]], ...] = (
    ("chat", ("messages",), _chat),
    ("sharegpt", ("conversations",), _sharegpt),
    ("alpaca", ("instruction", "output"), _alpaca),
    ("pairs", ("question", "answer"), _pair("question", "answer")),
    ("pairs", ("prompt", "completion"), _pair("prompt", "completion")),
)
