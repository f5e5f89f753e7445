"""Own preference pairs: read a question and two answers to it, check them. Know no model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from webslm.basics.encoding import printable
from webslm.basics.errors import ConfigError, Problem
from webslm.rows import keys
from webslm.rows.changes import Changes
from webslm.rows.dataset import asked, told
from webslm.rows.files import data_files, read_records
from webslm.rows.keys import BadRow, is_nothing
from webslm.rows.messages import Seen, Turn, check_order, text, turns
from webslm.rows.roles import Message
from webslm.rows.shapes import CONVERSATIONS, PREFERENCES, beside_system

SHAPE = 'a pair is {"prompt": ..., "chosen": ..., "rejected": ...}'
PROMPTS = ("prompt", "question", "instruction", "input")
BESIDE = ("input", "context")
"""What belongs to an instruction, after an empty line."""


@dataclass(frozen=True)
class Pair:
    """One conversation that ends with a question, and two answers to it."""

    line: int
    messages: tuple[Message, ...]
    """System prompt, if there is one, and turns up to the user's last."""
    chosen: str
    rejected: str
    file: str = ""
    """Name of its file where several are read as one."""

    def where(self, label: str) -> str:
        """Return ``FILE:LINE`` for a message."""
        return f"{self.file or label}:{self.line}"


def read_pairs(
    path: Path,
    *,
    system: str | None,
    held_out: Collection[str],
    changes: Changes | None = None,
) -> list[Pair]:
    """Return the pairs of a file or folder of any kind that rows may come in.

    Args:
        path: The file.
        system: The system prompt of the training rows; pairs without one get it.
        held_out: Questions kept out of training, as ``dataset.asked`` spells them.
        changes: Gets every record counted, with what was not read of it.

    Raises:
        ConfigError: Holds one problem per bad line, each with the file, the line and what to do.
    """
    label = printable(path.name)
    pairs, problems = _read(_files(path), system, Changes() if changes is None else changes)
    problems += _common_problems(pairs, label, held_out)
    if not pairs and not problems:
        problems.append((f"{label}: no pairs", SHAPE))
    if problems:
        raise told(problems, label)
    return pairs


def _files(path: Path) -> list[Path]:
    try:
        path.stat()
    except OSError as exc:
        raise ConfigError(
            f"dpo.path: {printable(path)}: {exc.strerror}",
            hint="dpo.path=FILE names a file of pairs",
        ) from exc
    return data_files(path)


def _read(
    files: Sequence[Path], system: str | None, changes: Changes
) -> tuple[list[Pair], list[Problem]]:
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for file in files:
        name = printable(file.name)
        for number, record in read_records(file, "dpo.path"):
            changes.read += 1
            try:
                seen = Seen()
                pair = _pair(record, number, system, seen)
            except BadRow as exc:
                problems.append((f"{name}:{number}: {exc}", exc.hint))
            else:
                changes.notice(seen)
                pairs.append(replace(pair, file=name if len(files) > 1 else ""))
    return pairs, problems


def _common_problems(pairs: list[Pair], label: str, held_out: Collection[str]) -> Iterator[Problem]:
    seen: dict[tuple[str, ...], Pair] = {}
    for pair in pairs:
        question = pair.messages[-1]["content"]
        before = tuple(asked(item["content"]) for item in pair.messages)
        key = (*before, pair.chosen.strip(), pair.rejected.strip())
        swapped = (*before, pair.rejected.strip(), pair.chosen.strip())
        where = pair.where(label)
        if key in seen:
            yield f"{where}: the same pair as line {seen[key].line}", "keep one of the two"
        elif swapped in seen:
            yield (
                f"{where}: prefers what line {seen[swapped].line} rejects",
                "decide for one of the two",
            )
        if asked(question) in held_out:
            yield (
                f"{where}: asks a held-out question: {question!r}",
                "remove it: what is held out may not be learnt",
            )
        seen.setdefault(key, pair)


def _pair(record: Any, number: int, system: str | None, seen: Seen) -> Pair:
    if isinstance(record, BadRow):
        raise record
    if not isinstance(record, Mapping):
        raise BadRow("not a JSON object", SHAPE)
    names = next((both for both in PREFERENCES if both[0] in record or both[1] in record), None)
    if names is None:
        raise BadRow(f'no "chosen" and "rejected" (keys: {keys.listed(record)})', SHAPE)
    (before, chosen), (again, rejected) = (_answered(record, name, seen) for name in names)
    used = set(names)
    if before or again:
        if before != again:
            raise BadRow(f"{names[0]} and {names[1]} answer different questions", SHAPE)
        prompt = [turn for turn in before if turn.role != "system"]
        # As UltraFeedback has it: the question once more beside whole conversations.
        used |= {key for key in PROMPTS if record.get(key) in [turn.content for turn in prompt]}
        used |= {key for key in CONVERSATIONS if record.get(key) == record[names[0]]}
    else:
        before, read = _prompt(record, seen)
        used |= read
    before, systems = beside_system(record, before, seen)
    check_order(before, ends="user")
    keys.check_record(record, used | systems, seen.unread)
    if chosen.strip() == rejected.strip():
        raise BadRow("chosen and rejected are the same", "there is nothing to prefer")
    asking = tuple(turn.message for turn in _with_rows_system(before, system))
    return Pair(number, asking, chosen, rejected)


def _with_rows_system(before: Sequence[Turn], system: str | None) -> list[Turn]:
    own = before[0].content if before[0].role == "system" else None
    if own is None and system is not None:
        return [Turn(role="system", content=system), *before]
    if own != system:
        raise BadRow(
            "another system prompt than the training rows",
            "leave it out: pairs get the rows' own, which is the one the page sends",
        )
    return list(before)


def _prompt(record: Mapping[str, Any], seen: Seen) -> tuple[list[Turn], set[str]]:
    """Return the turns before the answers, and the keys that were read."""
    given = [key for key in (*PROMPTS, *CONVERSATIONS) if not is_nothing(record.get(key))]
    beside = [key for key in given if key in BESIDE] if "instruction" in given else []
    given = [key for key in given if key not in beside]
    if len(given) != 1:
        raise BadRow(f"not exactly one of {', '.join((*PROMPTS, *CONVERSATIONS))}", SHAPE)
    (key,) = given
    found = record[key]
    if isinstance(found, Mapping):
        # OpenAI's preference files: the request itself.
        keys.check_record(found, {"messages"}, seen.unread)
        found = found.get("messages")
    if isinstance(found, str):
        parts = [text(record[name], f'"{name}"', seen) for name in (key, *beside)]
        return [Turn(role="user", content="\n\n".join(parts))], {key, *beside}
    if not isinstance(found, list) or not found:
        raise BadRow("the prompt is neither text nor messages", SHAPE)
    return turns(found, key, seen), {key}


def _answered(record: Mapping[str, Any], name: str, seen: Seen) -> tuple[list[Turn], str]:
    """Return (turns before the answer, answer): a text, a message, or a whole conversation."""
    found = record.get(name)
    if isinstance(found, Mapping):
        found = [found]
    if not isinstance(found, list):
        return [], text(found, name, seen, SHAPE)
    said = turns(found, name, seen)
    last = said[-1:] and said[-1]
    if not last or last.role != "assistant" or not last.learnt:
        raise BadRow(f"{name} is not one assistant turn", SHAPE)
    return said[:-1], last.content
