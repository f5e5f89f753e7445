"""Own the turns of a conversation: who speaks, the text, and whether it is learnt.

Rows and preference pairs are read through here, so that one check holds for both.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webslm.basics.encoding import is_whole, shown, unified
from webslm.rows import keys
from webslm.rows.keys import BadRow, is_nothing, listed
from webslm.rows.roles import Message

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}
"""Who speaks, by the names that data sets give them."""
TOOL_ROLES = ("tool", "function", "function_call", "observation", "ipython")
SPEAKER = ("role", "from")
SAID = ("content", "value")
TEXT_PARTS = ("text", "input_text", "output_text")
# \n and \t stand in texts, and so do \v and \f, which office programs write.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
TURN_HINT = 'write {"role": "user", "content": "..."}'


@dataclass
class Seen:
    """What reading one record noticed; counted once the record proved good."""

    unread: set[str] = field(default_factory=set)
    """Keys that were not looked at, as a message names them."""
    line_ends: bool = False
    r"""Whether a text had \r\n or \r."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One message."""

    role: str
    content: str
    learnt: bool = True
    """Whether an assistant turn carries loss."""

    @property
    def message(self) -> Message:
        """Return the turn as a chat template takes it."""
        return {"role": self.role, "content": self.content}


def text(value: Any, where: str, seen: Seen, hint: str = "'content' is a text") -> str:
    r"""Return a text of a record with \n as its only line end.

    Args:
        value: A string, or a list of text parts, which are put together.
        where: What it is, for a message.
        seen: Told of rewritten line ends.
        hint: What to do where it is no text.

    Raises:
        BadRow: It is empty or no text, or holds what cannot be learnt.
    """
    if isinstance(value, list):
        value = "".join(_part(part, where, seen) for part in value)
    if isinstance(value, Mapping):
        raise BadRow(f"{where} is an object, not a text", hint)
    if not isinstance(value, str):
        raise BadRow(f"{where} has no text", hint)
    if not value.strip():
        raise BadRow(f"{where} is empty", "write the text or remove the row")
    found = unified(value)
    seen.line_ends |= found != value
    if _CONTROL.search(found):
        raise BadRow(f"{where} holds a control character", "remove it, or use \\n and \\t")
    if not is_whole(found):
        raise BadRow(f"{where} holds half a surrogate pair", "write the character itself")
    return found


def turns(value: Any, name: str, seen: Seen) -> list[Turn]:
    """Return the turns of a list of messages; a first system message without text is none.

    Args:
        value: List of {role, content} or {from, value}.
        name: Key of the list, for a message.
        seen: Told of unread keys and rewritten line ends.

    Raises:
        BadRow: It is no such list, or a turn cannot be learnt.
    """
    if isinstance(value, str):
        raise BadRow(f'"{name}" is a text, not a list of turns', TURN_HINT)
    if not isinstance(value, list) or not value:
        raise BadRow(f'"{name}" is not a list with entries', "give user and assistant turns")
    found = [_turn(item, index, seen) for index, item in enumerate(value, start=1)]
    return [turn for turn in found if turn is not None]


def system_turn(value: Any, where: str, seen: Seen) -> list[Turn]:
    """Return the turn of a system text, or none where it is empty."""
    if is_nothing(value):
        return []
    return [Turn(role="system", content=text(value, where, seen, "a system prompt is a text"))]


def check_order(found: Sequence[Turn], *, ends: str = "assistant") -> None:
    """Check that turns alternate from the user's first to the last of ``ends``, after the system's.

    Raises:
        BadRow: Says which rule is broken.
    """
    roles = [turn.role for turn in found]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if "system" in spoken:
        raise BadRow("a system message that is not the first", "one system message, first")
    if not spoken or spoken[0] != "user":
        raise BadRow("the first turn is not the user's", "start with a user turn")
    for before, after in itertools.pairwise(spoken):
        if before == after:
            raise BadRow(f"two {before} turns in a row", "user and assistant take turns")
    if spoken[-1] != ends == "assistant":
        raise BadRow("ends with the user's turn", "end with the assistant's answer")
    if spoken[-1] != ends:
        raise BadRow(
            "the prompt does not begin and end with a user turn",
            "the answers stand in chosen and rejected",
        )


def _turn(item: Any, index: int, seen: Seen) -> Turn | None:
    if not isinstance(item, Mapping):
        raise BadRow(f"message {index} is not an object", TURN_HINT)
    speaker = next((key for key in SPEAKER if key in item), None)
    if speaker is None:
        raise BadRow(
            f'message {index} has neither "role" nor "from" (keys: {listed(item)})', TURN_HINT
        )
    name = item[speaker]
    role = ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise _unknown_role(name, index)
    where = f"message {index} ({role})"
    said = next((key for key in SAID if key in item), SAID[0])
    learnt = keys.check_turn(item, {speaker, said}, role, where, seen.unread)
    value = item.get(said)
    if role == "system" and index == 1 and is_nothing(value):
        return None
    return Turn(role=role, content=text(value, where, seen), learnt=learnt)


def _unknown_role(name: Any, index: int) -> BadRow:
    told = f"message {index} has the role {shown(name)}"
    if name in TOOL_ROLES:
        return BadRow(told, "the page calls no tools: remove such rows, or data.skip_bad=true")
    return BadRow(told, "use 'system', 'user' or 'assistant'")


def _part(part: Any, where: str, seen: Seen) -> str:
    """Return the text of one part of a list of parts."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise BadRow(f"{where} has a part that is no text", 'write {"type": "text", ...}')
    kind = part.get("type", "text")
    if kind not in TEXT_PARTS:
        raise BadRow(
            f"{where} has a part of the type {shown(kind)}", "only texts are learnt: take it out"
        )
    key = next((name for name in ("text", *SAID) if not is_nothing(part.get(name))), "text")
    keys.check_part(part, {"type", key}, where, seen.unread)
    found = part.get(key)
    if not isinstance(found, str):
        raise BadRow(f"{where} has a part without text", 'write {"type": "text", "text": ...}')
    return found
