"""Own a stored conversation: its turns, which are answers, and which of those are learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, str]
Messages = list[Message]
"""A conversation as the data stage stores it; a message may have ``NO_LOSS``."""
NO_LOSS = "weight"
"""Key of a stored message that is not learnt; its value is 0, as in OpenAI's files."""
ANSWERER = "assistant"
"""Role of who answers."""


def plain(message: Mapping[str, Any]) -> Message:
    """Return what a chat template takes of a stored message."""
    return {"role": message["role"], "content": message["content"]}


def is_learnt(message: Mapping[str, Any]) -> bool:
    """Return whether a stored message is an answer that carries loss."""
    return message["role"] == ANSWERER and NO_LOSS not in message


def answers(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the positions of the assistant's turns."""
    return [at for at, message in enumerate(messages) if message["role"] == ANSWERER]


def learnt(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the positions of the answers that carry loss; every row has one."""
    return [at for at, message in enumerate(messages) if is_learnt(message)]
