"""Preference pairs: every mistake is one line, and pairs are what the page would exchange."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.errors import ConfigError
from webslm.rows.pairs import read_pairs

SYSTEM = "You answer briefly."
GOOD = {"prompt": "What is salt?", "chosen": "A mineral.", "rejected": "No idea."}
TURNS = [
    {"role": "user", "content": "What is salt?"},
    {"role": "assistant", "content": "A mineral."},
    {"role": "user", "content": "And pepper?"},
]


def write(folder: Path, *lines: Any) -> Path:
    path = folder / "pairs.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def read(path: Path, held_out: tuple[str, ...] = ()) -> Any:
    return read_pairs(path, system=SYSTEM, held_out=held_out)


def test_text_and_messages_become_the_same_kind_of_pair(tmp_path: Path) -> None:
    as_messages = {
        "messages": [{"role": "system", "content": SYSTEM}, *TURNS],
        "chosen": [{"role": "assistant", "content": "A berry."}],
        "rejected": [{"role": "assistant", "content": "A bird."}],
    }
    first, second = read(write(tmp_path, GOOD, "", as_messages))
    system = {"role": "system", "content": SYSTEM}
    assert first.messages == (system, {"role": "user", "content": "What is salt?"})
    assert (first.line, first.chosen, first.rejected) == (1, "A mineral.", "No idea.")
    assert second.messages == (system, *TURNS)
    assert (second.line, second.chosen, second.rejected) == (3, "A berry.", "A bird.")


MISTAKES: dict[str, tuple[list[Any], str]] = {
    "not json": (["{"], "pairs.jsonl:1: not JSON"),
    "a list": ([[1]], "pairs.jsonl:1: not a JSON object"),
    "no prompt": ([{"chosen": "a", "rejected": "b"}], "not exactly one of"),
    "two prompts": ([{**GOOD, "messages": TURNS}], "not exactly one of"),
    "number for a prompt": ([{**GOOD, "prompt": 3}], "neither text nor messages"),
    "answered prompt": ([{**GOOD, "prompt": TURNS[:2]}], "begin and end with a user turn"),
    "two questions": ([{**GOOD, "prompt": [TURNS[0], TURNS[2]]}], "two user turns in a row"),
    "unknown role": ([{**GOOD, "prompt": [{"role": "bot", "content": "x"}]}], "role 'bot'"),
    "late system": (
        [{**GOOD, "prompt": [TURNS[0], {"role": "system", "content": SYSTEM}]}],
        "not the first",
    ),
    "other system": (
        [{**GOOD, "prompt": [{"role": "system", "content": "Else."}, TURNS[0]]}],
        "another system prompt",
    ),
    "empty answer": ([{**GOOD, "chosen": " "}], "chosen is empty"),
    "no answer": ([{"prompt": "x", "chosen": "y"}], "rejected has no text"),
    "answer of a user": ([{**GOOD, "chosen": [TURNS[0]]}], "chosen is not one assistant turn"),
    "nothing to prefer": ([{**GOOD, "rejected": "A mineral. "}], "and rejected are the same"),
    "pair twice": ([GOOD, GOOD], "pairs.jsonl:2: the same pair as line 1"),
    "contradiction": (
        [GOOD, {**GOOD, "chosen": "No idea.", "rejected": "A mineral."}],
        "pairs.jsonl:2: prefers what line 1 rejects",
    ),
    "no pairs": ([], "no pairs"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_one_line(tmp_path: Path, name: str) -> None:
    lines, message = MISTAKES[name]
    with pytest.raises(ConfigError) as raised:
        read(write(tmp_path, *lines))
    assert len(raised.value.problems) == 1
    text, hint = raised.value.problems[0]
    assert message in text
    assert "\n" not in text
    assert hint


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read(write(tmp_path, "{", GOOD, {**GOOD, "chosen": ""}))
    assert [text.split(":")[1] for text, _ in raised.value.problems] == ["1", "3"]


def test_held_out_question_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="asks a held-out question: 'What is salt"):
        read(write(tmp_path, GOOD), held_out=("what is salt",))


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dpo\.path: .*nowhere: No such file"):
        read(tmp_path / "nowhere")
