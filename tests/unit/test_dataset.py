from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import chat_row
from webslm.dataset import check_leakage, check_rows, dump_rows, read_rows, split_rows
from webslm.errors import ConfigError

Writer = Callable[..., Path]
USER = {"role": "user", "content": "q"}
ASSISTANT = {"role": "assistant", "content": "a"}
SYSTEM = {"role": "system", "content": "s"}

BAD_LINES = {
    "not JSON": "{",
    "not a JSON object": "[1]",
    'no "messages"': '{"text": "x"}',
    '"messages" is not a list with entries': '{"messages": []}',
    "message 1 is not an object": '{"messages": ["x"]}',
    "message 1 has the role 'bot'": {"messages": [{"role": "bot", "content": "x"}]},
    "message 1 has the role None": {"messages": [{"content": "x"}]},
    "message 1 (user) has no text": {"messages": [{"role": "user", "content": 3}]},
    "message 2 (assistant) is empty": {"messages": [USER, {**ASSISTANT, "content": "  "}]},
    "message 2 (assistant) holds a control": {"messages": [USER, {**ASSISTANT, "content": "\x07"}]},
    "message 1 (user) holds half a surrogate": (
        '{"messages": [{"role": "user", "content": "\\ud800"}]}'
    ),
    "a system message that is not the first": {"messages": [USER, SYSTEM, ASSISTANT]},
    "the first turn is not the user's": {"messages": [SYSTEM, ASSISTANT]},
    "two user turns in a row": {"messages": [USER, USER, ASSISTANT]},
    "two assistant turns in a row": {"messages": [USER, ASSISTANT, ASSISTANT]},
    "ends with the user's turn": {"messages": [USER, ASSISTANT, USER]},
}


@pytest.mark.parametrize("expected", BAD_LINES)
def test_bad_line_is_named_with_its_number(write_jsonl: Writer, expected: str) -> None:
    path = write_jsonl("my.jsonl", [chat_row("fine", "fine"), "", BAD_LINES[expected]])
    with pytest.raises(ConfigError) as caught:
        read_rows(path)
    ((message, hint),) = caught.value.problems
    assert message.startswith(f"my.jsonl:3: {expected}")
    assert hint


def test_every_bad_line_is_reported_at_once(write_jsonl: Writer) -> None:
    path = write_jsonl("my.jsonl", ["{", chat_row("q", "a"), "[]"])
    with pytest.raises(ConfigError) as caught:
        read_rows(path)
    assert [message.split(":")[1] for message, _ in caught.value.problems] == ["1", "3"]


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(json.dumps(chat_row("q", "a")).encode() + b"\n\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.jsonl:2: not UTF-8"):
        read_rows(path)


@pytest.mark.parametrize("kind", ["absent", "folder", "empty"])
def test_file_that_holds_no_rows_is_a_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.jsonl"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_text("\n\n")
    with pytest.raises(ConfigError, match=r"no such file|a folder|no rows"):
        read_rows(path)


def test_second_system_prompt_is_refused(write_jsonl: Writer) -> None:
    rows = read_rows(write_jsonl("x.jsonl", [chat_row("q", "a"), chat_row("r", "a", "Other.")]))
    with pytest.raises(ConfigError, match="line 1"):
        check_rows(rows, "x.jsonl")


def test_question_asked_twice_is_refused_whatever_its_spelling(write_jsonl: Writer) -> None:
    rows = read_rows(
        write_jsonl("x.jsonl", [chat_row("What is it?", "a"), chat_row("what IS it", "b")])
    )
    with pytest.raises(ConfigError, match="asks the same as line 1"):
        check_rows(rows, "x.jsonl")


def test_held_out_question_that_is_trained_is_refused(write_jsonl: Writer) -> None:
    train = read_rows(write_jsonl("t.jsonl", [chat_row("What is it?", "a")]))
    held = read_rows(write_jsonl("h.jsonl", [chat_row("what is it", "b")]))
    with pytest.raises(
        ConfigError, match=r"h\.jsonl:1: question only to be asked stands in training line 1"
    ):
        check_leakage(train, held, "h.jsonl")


def test_dumped_rows_read_back_equal(write_jsonl: Writer, tmp_path: Path) -> None:
    rows = read_rows(write_jsonl("x.jsonl", [chat_row("¿Qué?\n", "línea\t2"), chat_row("b", "c")]))
    again = tmp_path / "again.jsonl"
    again.write_text(dump_rows(rows), encoding="utf-8")
    assert [row.messages for row in read_rows(again)] == [row.messages for row in rows]


def test_split_is_stable_and_shares_no_question(write_jsonl: Writer) -> None:
    rows = read_rows(write_jsonl("x.jsonl", [chat_row(f"question {i}", "a") for i in range(50)]))
    train, held = split_rows(rows, fraction=0.2, seed=1)
    assert (len(train), len(held)) == (40, 10)
    check_leakage(train, held, "x")
    fewer_train, fewer_held = split_rows(rows[:-1], fraction=0.2, seed=1)
    assert {row.line for row in fewer_held} & {row.line for row in train} <= {
        row.line for row in fewer_train
    } | {row.line for row in fewer_held}
    assert split_rows(rows, fraction=0.2, seed=2)[1] != held


def test_split_always_trains_something(write_jsonl: Writer) -> None:
    rows = read_rows(write_jsonl("x.jsonl", [chat_row("only", "a")]))
    train, held = split_rows(rows, fraction=0.99, seed=0)
    assert (len(train), len(held)) == (1, 0)
