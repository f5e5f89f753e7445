"""Own what the keys of records and messages mean beside those that hold the texts.

A key that changes what may be learnt is used, or refused with its line. One that is known to
describe a record says nothing about it. Any other is counted and told.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from webslm.basics.encoding import printable, shown

HARMLESS = frozenset({
    "_id", "author", "category", "chat_id", "conversation_id", "conversation_hash", "country",
    "created", "created_at", "creation_date", "data_source", "dataset", "date", "difficulty",
    "domain", "doc_id", "file_name", "filename", "generator", "hash", "hashed_ip", "id", "idx",
    "index", "intent", "key", "lang", "language", "lang_code", "length", "license", "licence",
    "line", "meta", "metadata", "model", "model_name", "num_tokens", "num_turns", "origin",
    "parallel_tool_calls", "prompt_id", "question_id", "quality", "rating", "redacted",
    "row_id", "sample_id", "score", "source", "source_dataset", "source_id", "state", "subject",
    "subset", "tag", "tags", "task", "task_id", "task_name", "task_type", "time", "timestamp",
    "title", "toxic", "token_count", "tokens", "topic", "turn", "turn_id", "turns", "type",
    "updated_at", "url", "user_id", "uuid", "version", "views", "word_count",
    "__index_level_0__",
})  # fmt: skip
"""Keys of a record or a message that describe it: nothing of it is for a model to say."""

_TOOLS = ("calls tools, which a page cannot", "take such rows out, or data.skip_bad=true")
_MEDIA = ("comes with more than text", "only texts are learnt: take it out, or data.skip_bad=true")
_THOUGHT = (
    "has thoughts beside its answer, which the page would not ask for",
    "take the key out to learn the answers alone",
)
_MASK = ("says in its own way what carries loss", 'write "weight": 0 at turns without')
_PAIR = ("also holds an answer to a preference", "align=dpo dpo.path=FILE learns from pairs")

REFUSED_IN_TURN: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("tool_calls", "function_call", "tool_call_id", "tools", "functions"), _TOOLS),
    **dict.fromkeys(("image", "images", "audio", "audios", "video", "videos"), _MEDIA),
    **dict.fromkeys(("attachments", "files"), _MEDIA),
    **dict.fromkeys(("reasoning_content", "reasoning", "thinking", "thought"), _THOUGHT),
    **dict.fromkeys(("mask", "masked", "loss_mask", "train_detail"), _MASK),
    "prefix": ("is the beginning of an answer", "write the whole answer, without the key"),
}
REFUSED_IN_RECORD: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("tools", "functions", "tool_calls", "function_call"), _TOOLS),
    **dict.fromkeys(("image", "images", "audio", "audios", "video", "videos"), _MEDIA),
    **dict.fromkeys(("reasoning_content", "thinking"), _THOUGHT),
    **dict.fromkeys(("mask", "loss_mask"), _MASK),
    **dict.fromkeys(("chosen", "rejected"), _PAIR),
    "history": ("has earlier turns in a second place", "write them into the conversation"),
}
CONTEXTS = ("context", "input", "documents")
"""What a question refers to; without it the answer would be learnt for another question."""
WEIGHTS = ("weight", "loss_weight", "train", "training", "trainable", "loss", "train_on_turn")
"""Whether a turn carries loss: 1 and true, or 0 and false."""
ROW_WEIGHTS = ("weight", "loss_weight", "sample_weight", "train")
MANY = 12
LONGEST = 40
"""How many keys a message shows, and how much of each."""
SWITCHES: Mapping[str, bool] = {"1": True, "1.0": True, "true": True} | {
    "0": False,
    "0.0": False,
    "false": False,
}


class BadRow(ValueError):
    """What is wrong with one record, and what to do; whoever reads the file adds where."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def is_nothing(value: Any) -> bool:
    """Return whether a value says nothing: null, not a number, blank, or an empty collection."""
    if isinstance(value, str):
        return value.strip() in ("", "[]", "{}", "null")
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, (list, tuple, dict)) and not value)


def listed(record: Mapping[Any, Any]) -> str:
    """Return the keys of a record as a message may show them."""
    names = [printable(key)[:LONGEST] for key in record]
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return (", ".join(names[:MANY]) or "none") + more


def check_record(
    record: Mapping[str, Any], used: Collection[str], unread: set[str], *, columns: bool = False
) -> None:
    """Check the keys of a record beside those that are used, and note the unread ones.

    Args:
        record: A row or a pair.
        used: Keys whose values are read.
        unread: Gets the keys that were not looked at.
        columns: The user named the columns: single values beside them are the user's to leave.

    Raises:
        BadRow: A key changes what may be learnt, in a way that is not known here.
    """
    for key, value in record.items():
        if key in used or is_nothing(value):
            continue
        chosen = columns and not isinstance(value, (list, dict))
        if not chosen:
            if key in REFUSED_IN_RECORD and value is not False and not _masks_users(key, value):
                why, hint = REFUSED_IN_RECORD[key]
                raise BadRow(f'"{key}": the row {why}', hint)
            if key in ROW_WEIGHTS and _switch(value) is not True:
                raise BadRow(
                    f'"{key}" is {shown(value)}: a row is learnt or it is not',
                    "take out the row, or the key if it means something else",
                )
            if key == "label" and _switch(value) is False:
                raise BadRow(
                    f'"label" is {shown(value)}: an answer that is not to be learnt',
                    "take out the row, or the key if it means something else",
                )
        if _tells(key, value):
            unread.add(printable(key))


def check_turn(
    item: Mapping[str, Any], used: Collection[str], role: str, where: str, unread: set[str]
) -> bool:
    """Return whether a turn carries loss, after a check of its other keys.

    Raises:
        BadRow: A key changes what may be learnt, in a way that is not known here.
    """
    learnt: set[bool] = set()
    for key, value in item.items():
        if key in used or is_nothing(value):
            continue
        if key in REFUSED_IN_TURN and value is not False:
            why, hint = REFUSED_IN_TURN[key]
            raise BadRow(f'{where}: "{key}": the turn {why}', hint)
        if key == "label" and _switch(value) is False:
            raise BadRow(
                f'{where}: "label" is {shown(value)}', 'write "weight": 0, or leave it out'
            )
        if key in WEIGHTS:
            learnt.add(_weight(key, value, role, where))
        elif _tells(key, value):
            unread.add(f"{printable(key)} (of a turn)")
    if len(learnt) > 1:
        raise BadRow(f"{where}: its weights contradict each other", "keep one of them")
    return learnt != {False}


def check_part(
    part: Mapping[str, Any], used: Collection[str], where: str, unread: set[str]
) -> None:
    """Check the keys of a part of a text.

    Raises:
        BadRow: It says what carries loss.
    """
    for key, value in part.items():
        if key in used or is_nothing(value):
            continue
        if key in WEIGHTS and _switch(value) is not True:
            raise BadRow(
                f'{where}: a part with "{key}": {shown(value)}',
                'loss is for whole turns: write "weight": 0 at the turn, or split it',
            )
        if _tells(key, value):
            unread.add(f"{printable(key)} (of a part)")


def _weight(key: str, value: Any, role: str, where: str) -> bool:
    found = _switch(value)
    if found is None:
        raise BadRow(
            f'{where}: "{key}" is {shown(value)}', "a turn carries loss or none: write 1 or 0"
        )
    if found and role != "assistant":
        raise BadRow(
            f'{where}: "{key}" asks to learn a turn that is not the assistant\'s',
            "only the assistant's turns are learnt: leave the key out",
        )
    return found


def _switch(value: Any) -> bool | None:
    """Return a value as yes or no, or None where it is neither."""
    return SWITCHES.get(str(value).lower()) if isinstance(value, (bool, int, float, str)) else None


def _masks_users(key: object, value: Any) -> bool:
    """Return whether a record says, as NeMo's do, that the user's turns carry no loss."""
    return key == "mask" and isinstance(value, str) and value.lower() in ("user", "human")


def _tells(key: object, value: Any) -> bool:
    """Return whether a key must be told as unread."""
    name = str(key).lower()
    known = name in HARMLESS or name.startswith("unnamed:") or not name
    if known or _masks_users(key, value):
        return False
    return not (name in (*ROW_WEIGHTS, *WEIGHTS, "label") and _switch(value))
