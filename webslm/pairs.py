"""Own preference pairs: read JSONL of prompt, chosen and rejected, check it. Know no model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.dataset import normal
from webslm.errors import ConfigError

Message = dict[str, str]
MAX_REPORTED = 20
SHAPE = 'a pair is {"prompt": ..., "chosen": ..., "rejected": ...}'


@dataclass(frozen=True)
class Pair:
    """One conversation that ends with a question, and two answers to it."""

    line: int
    messages: tuple[Message, ...]
    """System prompt, if there is one, and turns up to the user's last."""
    chosen: str
    rejected: str


class _BadLine(ValueError):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def read_pairs(path: Path, *, system: str | None, held_out: Collection[str]) -> list[Pair]:
    """Return the pairs of a JSONL file.

    Args:
        path: The file.
        system: The system prompt of the training rows; pairs without one get it.
        held_out: Questions kept out of training, as ``dataset.normal`` spells them.

    Raises:
        ConfigError: Holds one problem per bad line, each with the file, the line and what to do.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"dpo.path: {path}: {why}", hint="dpo.path=FILE names a JSONL file of pairs"
        ) from exc
    pairs: list[Pair] = []
    problems: list[tuple[str, str | None]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            pairs.append(_pair(line, number, system))
        except _BadLine as exc:
            problems.append((f"{path.name}:{number}: {exc}", exc.hint))
    problems += _common_problems(pairs, path.name, held_out)
    if not pairs and not problems:
        problems.append((f"{path.name}: no pairs", SHAPE))
    if problems:
        raise ConfigError(problems=tuple(problems[:MAX_REPORTED]))
    return pairs


def _common_problems(
    pairs: list[Pair], label: str, held_out: Collection[str]
) -> Iterator[tuple[str, str | None]]:
    seen: dict[tuple[str, ...], int] = {}
    for pair in pairs:
        question = pair.messages[-1]["content"]
        turns = tuple(normal(item["content"]) for item in pair.messages)
        key = (*turns, normal(pair.chosen), normal(pair.rejected))
        swapped = (*turns, normal(pair.rejected), normal(pair.chosen))
        if key in seen:
            yield f"{label}:{pair.line}: the same pair as line {seen[key]}", "keep one of the two"
        elif swapped in seen:
            yield (
                f"{label}:{pair.line}: prefers what line {seen[swapped]} rejects",
                "decide for one of the two",
            )
        if normal(question) in held_out:
            yield (
                f"{label}:{pair.line}: asks a held-out question: {question!r}",
                "remove it: what is held out may not be learnt",
            )
        seen.setdefault(key, pair.line)


def _pair(line: str, number: int, system: str | None) -> Pair:
    try:
        value: Any = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as exc:
        raise _BadLine("not JSON", "write one JSON object a line") from exc
    if not isinstance(value, dict):
        raise _BadLine("not a JSON object", SHAPE)
    messages = _prompt(value)
    own = messages[0]["content"] if messages[0]["role"] == "system" else None
    if own is None and system is not None:
        messages = [{"role": "system", "content": system}, *messages]
    elif own != system:
        raise _BadLine(
            "another system prompt than the training rows",
            "leave it out: pairs get the rows' own, which is the one the page sends",
        )
    chosen, rejected = (_answer(value, name) for name in ("chosen", "rejected"))
    if chosen.strip() == rejected.strip():
        raise _BadLine("chosen and rejected are the same", "there is nothing to prefer")
    return Pair(number, tuple(messages), chosen, rejected)


def _prompt(value: dict[str, Any]) -> list[Message]:
    if ("prompt" in value) == ("messages" in value):
        raise _BadLine('not exactly one of "prompt" and "messages"', SHAPE)
    found = value.get("prompt", value.get("messages"))
    if isinstance(found, str):
        found = [{"role": "user", "content": found}]
    if not isinstance(found, list) or not found:
        raise _BadLine("the prompt is neither text nor messages", SHAPE)
    messages = [_message(item, index) for index, item in enumerate(found, start=1)]
    roles = [item["role"] for item in messages]
    turns = roles[1:] if roles[0] == "system" else roles
    if "system" in turns:
        raise _BadLine("a system message that is not the first", "one system message, first")
    if not turns or turns[0] != "user" or turns[-1] != "user":
        raise _BadLine(
            "the prompt does not begin and end with a user turn",
            "the answers stand in chosen and rejected",
        )
    if any(before == after for before, after in itertools.pairwise(turns)):
        raise _BadLine("two turns of one role in a row", "user and assistant take turns")
    return messages


def _message(item: Any, index: int) -> Message:
    role = item.get("role") if isinstance(item, dict) else None
    if role not in ("system", "user", "assistant"):
        raise _BadLine(f"message {index} has the role {role!r}", "system, user or assistant")
    return {"role": role, "content": _text(item.get("content"), f"message {index}")}


def _answer(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    if isinstance(found, list):
        # As trl's data sets have it: a list of one assistant message.
        if len(found) != 1 or _message(found[0], 1)["role"] != "assistant":
            raise _BadLine(f"{name} is not one assistant turn", SHAPE)
        found = found[0]["content"]
    return _text(found, name)


def _text(found: Any, where: str) -> str:
    if not isinstance(found, str):
        raise _BadLine(f"{where} has no text", SHAPE)
    if not found.strip():
        raise _BadLine(f"{where} is empty", "write the text or remove the pair")
    return found
