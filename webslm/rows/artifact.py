"""Own the files of the data stage's artifact: their names, and who reads and writes their rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from webslm.rows.dataset import Row
from webslm.rows.roles import NO_LOSS, Messages, plain

TRAIN = "train.jsonl"
HELD_OUT = "held_out.jsonl"
PARAPHRASES = "paraphrases.jsonl"
REHEARSAL = "rehearsal.jsonl"
STATS = "stats.json"


def dump_rows(rows: Iterable[Row]) -> str:
    """Return rows as chat JSONL; a turn that is not learnt has ``"weight": 0``."""
    return "".join(
        json.dumps({"messages": _stored(row)}, ensure_ascii=False) + "\n" for row in rows
    )


def _stored(row: Row) -> list[dict[str, Any]]:
    return [
        {**item, NO_LOSS: 0} if at in row.unlearnt else item for at, item in enumerate(row.messages)
    ]


def conversations(path: Path) -> Iterator[tuple[int, Messages]]:
    """Yield line (from 1) and messages of every row that ``dump_rows`` wrote.

    A message keeps its ``NO_LOSS``, where it has one. A user's file is read by ``source``.
    """
    # Not splitlines: a JSON string may hold U+2028 and its like.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            yield number, json.loads(line)["messages"]


def read_messages(path: Path) -> list[Messages]:
    """Return the conversations of a file as they are learnt."""
    return [messages for _, messages in conversations(path)]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file."""
    return [
        Row(
            number,
            tuple(map(plain, messages)),
            unlearnt=frozenset(at for at, item in enumerate(messages) if NO_LOSS in item),
        )
        for number, messages in conversations(path)
    ]


def learnt_rows(data: Path) -> list[Messages]:
    """Return what a fine-tune learns of a data artifact: its rows, then those rehearsed."""
    rows, rehearsed = read_messages(data / TRAIN), data / REHEARSAL
    return [*rows, *read_messages(rehearsed)] if rehearsed.is_file() else rows


def located(data: Path) -> Iterator[tuple[str, Messages]]:
    """Yield FILE:LINE of each row, trained and held out, and its messages without ``NO_LOSS``."""
    for name in (TRAIN, HELD_OUT):
        for number, messages in conversations(data / name):
            yield f"{name}:{number}", [plain(message) for message in messages]


def system_prompt_of(data: Path) -> str:
    """Return the system message that all conversations have; "" if they have none."""
    stats = json.loads((data / STATS).read_text(encoding="utf-8"))
    return str(stats.get("system_prompt") or "")
