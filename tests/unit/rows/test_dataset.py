from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import chat_row
from webslm.basics.errors import ConfigError
from webslm.rows.artifact import dump_rows, read_rows
from webslm.rows.dataset import check_leakage, check_rows, split_rows

Writer = Callable[..., Path]


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
