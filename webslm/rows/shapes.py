"""Own the shapes that one record may have, and how each becomes a conversation.

Rules, the same for every source:

- a conversation keeps all its turns; every assistant turn without ``weight: 0`` is learnt;
- a system text that is empty is none; ``data.system`` puts one text in front of every row;
- nothing is guessed: a record that fits no shape is a mistake, named with its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from webslm.rows import keys
from webslm.rows.hints import SHAPES_HINT, columns_hint, messages_hint
from webslm.rows.keys import BadRow, is_nothing
from webslm.rows.messages import Seen, Turn, check_order, system_turn, text, turns

COLUMNS = ("messages", "system", "question", "answer")
"""What ``data.columns`` can name."""
CONVERSATIONS = ("messages", "conversations", "conversation")
"""Keys of a list of turns."""
SYSTEMS = ("system", "system_prompt", "system_message")
"""Keys of a system text beside the turns."""
FLAT = (
    ("alpaca", "instruction", "output"),
    ("alpaca", "instruction", "response"),
    ("pairs", "question", "answer"),
    ("pairs", "prompt", "completion"),
    ("pairs", "question", "response"),
    ("pairs", "prompt", "response"),
    ("pairs", "query", "response"),
    ("pairs", "input", "output"),
)
"""(Shape, key of the question, key of the answer) of records with one question and one answer."""
PREFERENCES = (
    ("chosen", "rejected"),
    ("preferred_output", "non_preferred_output"),
    ("chosen_messages", "rejected_messages"),
)
"""Keys of the preferred answer of a pair and of the other."""
BESIDE = {"instruction": ("input", "context")}
"""What belongs to a question, after an empty line, by the question's key."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What a record says."""

    shape: str
    turns: Sequence[Turn]
    seen: Seen


def to_conversation(record: Any, columns: Mapping[str, str]) -> Conversation:
    """Return the conversation of a record.

    Raises:
        BadRow: It has no known shape, its turns cannot be learnt, or a key changes what may be.
    """
    if not isinstance(record, Mapping):
        raise BadRow("not a JSON object", SHAPES_HINT)
    seen = Seen()
    shape, found, used = _read(record, columns, seen)
    check_order(found)
    if not any(turn.learnt for turn in found if turn.role == "assistant"):
        raise BadRow("no turn carries loss: nothing is learnt from it", "take out the row")
    keys.check_record(record, used, seen.unread, columns=bool(columns))
    return Conversation(shape=shape, turns=found, seen=seen)


def with_system(found: Sequence[Turn], system: str | None) -> tuple[Sequence[Turn], str | None]:
    """Return turns that start with ``system``, and whether that was added or replaced.

    Without ``system`` the turns stay as they are.
    """
    if system is None:
        return found, None
    first = Turn(role="system", content=system)
    if found[0].role != "system":
        return [first, *found], "added"
    return [first, *found[1:]], None if found[0] == first else "replaced"


def beside_system(
    record: Mapping[str, Any], found: Sequence[Turn], seen: Seen
) -> tuple[list[Turn], set[str]]:
    """Return turns with the system text that stands beside them, and the keys that were read.

    Raises:
        BadRow: There are two system texts.
    """
    names = [key for key in SYSTEMS if not is_nothing(record.get(key))]
    texts = [turn for key in names for turn in system_turn(record[key], f'"{key}"', seen)]
    own = [turn for turn in found[:1] if turn.role == "system"]
    if any(one != other for one in (*own, *texts) for other in (*own, *texts)):
        raise BadRow(f'"{names[-1]}" is another system prompt than the one given', "keep one")
    return [*texts[:1], *found[len(own) :]] if texts else list(found), set(names)


def _read(
    record: Mapping[str, Any], columns: Mapping[str, str], seen: Seen
) -> tuple[str, list[Turn], set[str]]:
    """Return (shape, turns, keys that were read)."""
    if columns:
        return "columns", _mapped(record, columns, seen), set(columns.values())
    if any(set(both) <= set(record) for both in PREFERENCES):
        raise BadRow("a preference pair, no row", "align=dpo dpo.path=FILE learns from pairs")
    key = next((name for name in CONVERSATIONS if name in record), None)
    if key is not None:
        found, used = beside_system(record, turns(record[key], key, seen), seen)
        return _style(record[key]), found, {key, *used}
    for name, question, answer in FLAT:
        if question in record and answer in record:
            found, used = _flat(record, question, answer, seen)
            return name, found, used
    raise _unknown(record)


def _style(said: list[Mapping[str, Any]]) -> str:
    return "sharegpt" if "from" in said[0] else "chat"


def _mapped(record: Mapping[str, Any], columns: Mapping[str, str], seen: Seen) -> list[Turn]:
    for column in columns.values():
        if column not in record:
            raise BadRow(
                f"no column {column!r}", f"data.columns names some of: {keys.listed(record)}"
            )
    if "messages" in columns:
        return turns(record[columns["messages"]], columns["messages"], seen)
    system = record[columns["system"]] if "system" in columns else None
    return [
        *system_turn(system, "the system prompt", seen),
        *_exchange(record[columns["question"]], record[columns["answer"]], seen),
    ]


def _flat(
    record: Mapping[str, Any], question: str, answer: str, seen: Seen
) -> tuple[list[Turn], set[str]]:
    """Return the turns of a record with one question and one answer, and the keys read."""
    beside = [key for key in BESIDE.get(question, ()) if not is_nothing(record.get(key))]
    for key in keys.CONTEXTS:
        if key not in (question, answer, *beside[:1]) and not is_nothing(record.get(key)):
            raise BadRow(
                f'"{key}" stands beside the question and would be left out',
                f"write it into the question; {columns_hint(question, answer)} leaves it out",
            )
    asked = record[question]
    if isinstance(asked, list):
        found = _prompted(asked, question, record[answer], answer, seen)
    else:
        if beside and isinstance(asked, str):
            more = text(record[beside[0]], f'"{beside[0]}"', seen)
            asked = "\n\n".join(part for part in (asked, more) if part.strip())
        found = [
            *_history(record.get("history"), seen),
            *_exchange(asked, record[answer], seen),
        ]
    found, used = beside_system(record, found, seen)
    return found, {question, answer, "history", *beside[:1], *used}


def _exchange(question: Any, answer: Any, seen: Seen) -> list[Turn]:
    return [
        Turn(role="user", content=text(question, "the question", seen, "it is a text")),
        Turn(role="assistant", content=text(answer, "the answer", seen, "it is a text")),
    ]


def _prompted(asked: Any, question: str, answer: Any, name: str, seen: Seen) -> list[Turn]:
    """Return a prompt of messages and its answer, of which only the answer is learnt."""
    before = [replace(turn, learnt=False) for turn in turns(asked, question, seen)]
    if isinstance(answer, list):
        return [*before, *turns(answer, name, seen)]
    return [*before, Turn(role="assistant", content=text(answer, "the answer", seen))]


def _history(value: Any, seen: Seen) -> list[Turn]:
    """Return the earlier turns of a record: a list of [question, answer], or of messages."""
    if is_nothing(value):
        return []
    if not isinstance(value, list):
        raise BadRow('"history" is not a list', "it is a list of [question, answer]")
    if isinstance(value[0], Mapping):
        return turns(value, "history", seen)
    found: list[Turn] = []
    for number, pair in enumerate(value, start=1):
        if not isinstance(pair, list) or len(pair) != 2:
            raise BadRow(
                f'entry {number} of "history" is not a question and its answer',
                "it is a list of [question, answer]",
            )
        for role, said in zip(("user", "assistant"), pair, strict=True):
            where = f'entry {number} of "history" ({role})'
            found.append(Turn(role=role, content=text(said, where, seen)))
    return found


def _unknown(record: Mapping[str, Any]) -> BadRow:
    """Return the mistake of a record without a known shape, with what is in it."""
    told = f'no "messages" (keys: {keys.listed(record)})'
    chats = [str(key) for key, value in record.items() if _is_conversation(value)]
    if len(chats) == 1:
        return BadRow(told, messages_hint(chats[0]))
    texts = [
        str(key)
        for key, value in record.items()
        if isinstance(value, str) and str(key).lower() not in keys.HARMLESS
    ]
    if len(texts) == 2:
        return BadRow(told, f"{columns_hint(*texts)} where the first holds the question")
    return BadRow(told, SHAPES_HINT)


def _is_conversation(value: Any) -> bool:
    """Return whether a value could be learnt as ``data.columns.messages``."""
    if not isinstance(value, list):
        return False
    try:
        check_order(turns(value, "", Seen()))
    except BadRow:
        return False
    return True
