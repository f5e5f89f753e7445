"""Data files as strangers make them: each is read as it is meant, or refused in a true sentence."""

from __future__ import annotations

import gzip
import json
import lzma
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import chat_row
from webslm.basics.errors import ConfigError
from webslm.config.compose import compose
from webslm.rows.artifact import dump_rows, read_rows
from webslm.rows.changes import Changes
from webslm.rows.dataset import Row
from webslm.rows.examination import examine
from webslm.rows.hints import columns_hint, messages_hint
from webslm.rows.mojibake import mojibake
from webslm.rows.pairs import read_pairs
from webslm.rows.source import Split, load_split, read
from webslm.schema import DataConf

Writer = Callable[..., Path]
ASK = {"role": "user", "content": "Why?"}
SAY = {"role": "assistant", "content": "Because."}
PAIR = {"prompt": "Why?", "chosen": "Because.", "rejected": "Dunno."}


def load(path: Path, **rules: Any) -> Split:
    return load_split(DataConf(path=str(path), **{"held_out_fraction": 0.0, **rules}))


def refused(path: Path, **rules: Any) -> tuple[tuple[str, str | None], ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, **rules)
    return caught.value.problems


def said(rows: list[Row]) -> list[list[str]]:
    return [[item["content"] for item in row.messages] for row in rows]


def raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# Keys.


@pytest.mark.parametrize(
    ("key", "value"),
    [("weight", 0), ("weight", 0.0), ("loss_weight", 0), ("train", False), ("weight", "0")],
)
def test_turn_that_is_not_to_be_learnt_is_kept_without_loss(
    write_jsonl: Writer, tmp_path: Path, key: str, value: Any
) -> None:
    turns = [ASK, {**SAY, key: value}, {**ASK, "content": "So?"}, {**SAY, "weight": 1}]
    split = load(write_jsonl("x.jsonl", [{"messages": turns}]))
    (row,) = split.train
    assert row.unlearnt == {1}
    assert row.answers == ("Because.",)
    assert split.changes.notes()["turns_without_loss"] == 1
    stored = tmp_path / "stored.jsonl"
    stored.write_text(dump_rows([row]), encoding="utf-8")
    assert json.loads(stored.read_text())["messages"][1] == {**SAY, "weight": 0}
    assert read_rows(stored)[0].unlearnt == {1}


def test_system_prompt_in_front_moves_the_turns_without_loss(write_jsonl: Writer) -> None:
    turns = [ASK, {**SAY, "weight": 0}, {**ASK, "content": "So?"}, SAY]
    split = load(write_jsonl("x.jsonl", [{"messages": turns}]), system="Be brief.")
    assert split.train[0].unlearnt == {2}


@pytest.mark.parametrize(
    "history", [[["How?", "So."]], [{"role": "user", "content": "How?"}, {**SAY, "content": "So."}]]
)
@pytest.mark.parametrize("names", [("instruction", "output"), ("prompt", "response")])
def test_history_stands_before_the_question(
    write_jsonl: Writer, history: Any, names: tuple[str, str]
) -> None:
    record = {names[0]: "And in winter?", names[1]: "At nine.", "history": history}
    split = load(write_jsonl("x.jsonl", [record]))
    assert said(split.train) == [["How?", "So.", "And in winter?", "At nine."]]


def test_answer_to_a_prompt_of_messages_is_learnt_alone(write_jsonl: Writer) -> None:
    record = {"prompt": [ASK, SAY, {**ASK, "content": "So?"}], "completion": [SAY]}
    (row,) = load(write_jsonl("x.jsonl", [record])).train
    assert row.unlearnt == {1}


REFUSED: dict[str, dict[str, Any]] = {
    '"weight" is 0.5': {"messages": [ASK, {**SAY, "weight": 0.5}]},
    "carries loss: nothing is learnt": {"messages": [ASK, {**SAY, "weight": 0}]},
    "a turn that is not the assistant's": {"messages": [{**ASK, "train": True}, SAY]},
    "its weights contradict": {"messages": [ASK, {**SAY, "weight": 0, "train": True}]},
    '"tool_calls": the turn calls tools': {"messages": [ASK, {**SAY, "tool_calls": [{"id": 1}]}]},
    '"function_call": the turn calls': {"messages": [ASK, {**SAY, "function_call": {"a": 1}}]},
    '"reasoning_content": the turn has thoughts': {
        "messages": [ASK, {**SAY, "reasoning_content": "Hm."}]
    },
    '"images": the turn comes with more': {"messages": [{**ASK, "images": ["a"]}, SAY]},
    "has the role 'tool'": {"messages": [ASK, SAY, {"role": "tool", "content": "1"}]},
    '"tools": the row calls tools': {"messages": [ASK, SAY], "tools": '[{"name": "f"}]'},
    '"history": the row has earlier turns': {"messages": [ASK, SAY], "history": [["a", "b"]]},
    '"weight" is 0: a row': {"messages": [ASK, SAY], "weight": 0},
    '"label" is False': {"messages": [ASK, SAY], "label": False},
    "a preference pair": {**PAIR, "messages": [ASK, SAY]},
    '"context" stands beside': {"question": "Who?", "context": "A text.", "answer": "He."},
    "is another system prompt": {
        "system": "A.",
        "messages": [{"role": "system", "content": "B."}, ASK, SAY],
    },
    'entry 1 of "history" is not a question': {
        "instruction": "a",
        "output": "b",
        "history": [["x"]],
    },
    "a part of the type 'image_url'": {
        "messages": [{**ASK, "content": [{"type": "image_url", "image_url": {}}]}, SAY]
    },
    'a part with "train": False': {
        "messages": [ASK, {**SAY, "content": [{"type": "text", "text": "a", "train": False}]}]
    },
    "the key 'id' twice": {},
}


@pytest.mark.parametrize("told", REFUSED)
def test_key_that_changes_what_may_be_learnt_is_refused_with_its_line(
    write_jsonl: Writer, told: str
) -> None:
    record = REFUSED[told] or '{"id": 1, "id": 2, "messages": []}'
    ((message, hint),) = refused(write_jsonl("x.jsonl", [chat_row("a", "b"), record]))
    assert message.startswith("x.jsonl:2: ")
    assert told in message
    assert hint


def test_key_that_says_nothing_or_describes_a_row_is_passed_over(write_jsonl: Writer) -> None:
    record = {
        "messages": [ASK, {**SAY, "tool_calls": None, "reasoning_content": "", "weight": None}],
        "id": 7,
        "tools": "[]",
        "images": [],
        "history": None,
        "Source": "web",
        "label": True,
    }
    path = write_jsonl("x.jsonl", [json.dumps(record).replace('"web"', "NaN")])
    assert load(path).changes.notes()["keys_not_read"] == {}


def test_unknown_key_is_counted_and_told_and_can_be_written(write_jsonl: Writer) -> None:
    turns = [{**ASK, "name": "Ann"}, SAY]
    records = [{"messages": turns, "grade\ud83d": 1}, {"question": "q", "answer": "a", "zip": "x"}]
    split = load(write_jsonl("x.jsonl", records))
    stats = examine(split, DataConf(path="x"))
    assert stats["keys_not_read"] == {"grade\\ud83d": 1, "name (of a turn)": 1, "zip": 1}
    (finding,) = [item for item in stats["findings"] if item["kind"] == "keys_not_read"]
    assert "zip x 1" in finding["text"]
    json.dumps(stats, ensure_ascii=False).encode()


def test_column_that_the_user_left_out_is_told_unless_it_holds_turns(tmp_path: Path) -> None:
    columns = {"question": "q", "answer": "a"}
    path = raw(tmp_path / "x.csv", b"q,a,label,weight\nWhy?,So.,0,70\n")
    assert load(path, columns=columns).changes.unread.keys() == {"label", "weight"}
    path = raw(tmp_path / "x.jsonl", b'{"q": "Why?", "a": "So.", "history": [["b", "c"]]}\n')
    assert '"history"' in refused(path, columns=columns)[0][0]


# The account of rows.


def test_every_row_is_learnt_held_out_or_left_out(write_jsonl: Writer) -> None:
    rows = [
        {"messages": [{**ASK, "content": f"What is {n}?"}, SAY, {**ASK, "content": tail}, SAY]}
        for n, tail in enumerate(["Shorter."] * 12 + [f"And {n}?" for n in range(12)])
    ]
    split = load(write_jsonl("x.jsonl", rows), held_out_fraction=0.25)
    assert split.account() == {"read": 24, "learnt": 18, "held_out": 6, "asked": 0, "left_out": 0}
    assert {row.messages[2]["content"] for row in split.held_out}.isdisjoint({"Shorter."})


def test_rows_that_all_share_a_question_are_all_learnt_and_the_hint_is_not_what_is_set(
    write_jsonl: Writer,
) -> None:
    rows = [
        {"messages": [{**ASK, "content": f"{n}?"}, SAY, {**ASK, "content": "Shorter."}, SAY]}
        for n in range(40)
    ]
    split = load(write_jsonl("x.jsonl", rows), held_out_fraction=0.1)
    assert (len(split.train), len(split.held_out)) == (40, 0)
    findings = examine(split, DataConf(path="x"))["findings"]
    (hint,) = [item["hint"] for item in findings if item["kind"] == "no_held_out"]
    assert "data.held_out_fraction" not in hint
    assert "share" in hint


def test_under_each_reason_stand_rows_of_that_reason(write_jsonl: Writer) -> None:
    rows: list[Any] = [chat_row("What is ore?", "a"), chat_row("what is ore", "b"), *["{"] * 6]
    split = load(write_jsonl("x.jsonl", rows), skip_bad=True)
    assert split.account() == {"read": 8, "learnt": 1, "held_out": 0, "asked": 0, "left_out": 7}
    assert split.changes.examples["asks what an earlier row asks"] == [
        "x.jsonl:2: asks what an earlier row asks (line:1)"
    ]
    assert all("not JSON" in told for told in split.changes.examples["a mistake in the row"])


def test_paraphrases_of_held_out_rows_are_counted(write_jsonl: Writer) -> None:
    train = write_jsonl("t.jsonl", [chat_row("Why?", "A."), chat_row("How?", "B.")])
    asked = write_jsonl("p.jsonl", [chat_row("What for?", "A."), chat_row("In what way?", "B.")])
    split = load(train, paraphrases_path=str(asked), held_out_fraction=0.5)
    assert split.account() == {"read": 4, "learnt": 1, "held_out": 1, "asked": 1, "left_out": 1}


def test_file_to_hold_out_of_which_nothing_is_left_is_a_sentence(write_jsonl: Writer) -> None:
    train = write_jsonl("t.jsonl", [chat_row("Why?", "A.")])
    held = write_jsonl("h.jsonl", [chat_row("why", "A.")])
    assert refused(train, held_out_path=str(held), skip_bad=True)[0][0].startswith(
        "h.jsonl: no row is left"
    )


def test_sums_that_differ_by_their_sign_are_different_questions(write_jsonl: Writer) -> None:
    rows = [chat_row(text, "a") for text in ("What is 3+4?", "What is 3 - 4?", "3*4", "!", "?")]
    assert len(load(write_jsonl("x.jsonl", rows)).train) == 5
    rows = [chat_row(text, "a") for text in ("What is 3+4?", "what is 3 + 4")]
    assert "asks the same" in refused(write_jsonl("y.jsonl", rows))[0][0]


def test_number_of_wrong_rows_is_always_said(write_jsonl: Writer) -> None:
    problems = refused(write_jsonl("x.jsonl", [chat_row("a", "b"), *["{"] * 25]))
    assert problems[-1][0] == "x.jsonl: 20 of 25 problems shown"
    assert len(problems) == 21


# Line ends, byte-order marks, packed files.


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_line_end_in_a_quoted_field_is_a_line_end(tmp_path: Path, end: str) -> None:
    lines = ["question,answer", 'What is felt?,"Pressed wool.', 'It is warm."', "Silk?,A fibre."]
    split = load(raw(tmp_path / "x.csv", end.join(lines).encode()))
    assert said(split.train)[0][1] == "Pressed wool.\nIt is warm."
    assert [row.line for row in split.train] == [2, 4]
    assert split.changes.line_ends == (0 if end == "\n" else 1)


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_only_cr_and_lf_end_a_line(tmp_path: Path, char: str, suffix: str) -> None:
    answer = f"Pressed wool.{char}It is warm."
    if suffix == "jsonl":
        records = [{"question": "Felt?", "answer": answer}, {"question": "Silk?", "answer": "So."}]
        text = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    else:
        mark = "," if suffix == "csv" else "\t"
        rows = (("question", "answer"), ("Felt?", answer), ("Silk?", "So."))
        text = "\n".join(map(mark.join, rows))
    path = raw(tmp_path / f"x.{suffix}", text.encode())
    if char == "\x1c":
        ((message, _),) = refused(path)
        assert "control character" in message
    else:
        assert said(load(path).train) == [["Felt?", answer], ["Silk?", "So."]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("kind", ["rows", "pairs", "csv"])
def test_byte_order_mark_is_no_mistake(tmp_path: Path, encoding: str, kind: str) -> None:
    if kind == "pairs":
        path = raw(tmp_path / "p.jsonl", json.dumps(PAIR).encode(encoding))
        assert read_pairs(path, system=None, held_out=())[0].chosen == "Because."
    elif kind == "csv":
        path = raw(tmp_path / "x.csv", "question,answer\nWhy?,\u00c9t\u00e9.\n".encode(encoding))
        assert said(load(path).train) == [["Why?", "\u00c9t\u00e9."]]
    else:
        path = raw(tmp_path / "x.jsonl", json.dumps(chat_row("a", "b")).encode(encoding))
        assert len(load(path).train) == 1


def test_files_put_together_with_their_byte_order_marks_are_read(tmp_path: Path) -> None:
    lines = [json.dumps(chat_row(name, "a")).encode("utf-8-sig") for name in ("q", "r")]
    assert len(load(raw(tmp_path / "x.jsonl", b"\n".join(lines))).train) == 2


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl", "x.gz"])
def test_packed_file_is_read_whatever_its_name(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str
) -> None:
    path = raw(tmp_path / name, pack(json.dumps(chat_row("a", "b")).encode()))
    assert len(load(path).train) == 1


def test_packed_file_of_a_folder_is_read_and_others_are_told(tmp_path: Path) -> None:
    raw(tmp_path / "a.csv.gz", gzip.compress(b"question,answer\nWhy?,So.\n"))
    raw(tmp_path / "notes.txt", b"no data")
    raw(tmp_path / ".hidden", b"no data")
    split = load(tmp_path)
    assert said(split.train) == [["Why?", "So."]]
    findings = examine(split, DataConf(path="x"))["findings"]
    assert "not read of the folder: notes.txt" in [item["text"] for item in findings]


NAMED: dict[str, tuple[bytes, str, str]] = {
    "x.jsonl.gz": (gzip.compress(b"x" * 99)[:20], "a broken gzip file", "gzip -t x.jsonl.gz"),
    "x.jsonl.zst": (b"\x28\xb5\x2f\xfd", "packed with zstd", "zstd -d x.jsonl.zst"),
    "my rows.db": (b"SQLite format 3\0", "an SQLite database", "export its table"),
    "x.jsonl": (b"<!DOCTYPE html>", "a web page, not data", "fetch the file itself"),
    "y.jsonl": (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer", "git lfs pull"),
    "z.jsonl": (json.dumps({}).encode("utf-16-le"), "UTF-16 without a byte-order", "-f UTF-16LE"),
    "l.jsonl": (
        '{"a": "\u00e9"}'.encode("latin-1"),
        "l.jsonl:1: not UTF-8 text",
        "iconv -f CP1252",
    ),
    "t.jsonl": (b"\0" * 257 + b"ustar", "a tar archive", "tar -xf t.jsonl"),
    "x.csv": (b'question,answer\nWhy?,"So.\nHow?,So.\n', "x.csv:2: not CSV", "quote a field"),
    "y.csv": (b"question,answer,answer\na,b,c\n", 'the column "answer" stands twice', "of its own"),
    "x.json": (b'{\n"a": [],\n"b": 1}', "one JSON object, not a list of records (keys: a, b)", "["),
}


@pytest.mark.parametrize("name", NAMED)
def test_file_of_another_kind_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, told, todo = NAMED[name]
    ((message, hint),) = refused(raw(tmp_path / name, content))
    assert message.startswith(name)
    assert told in message
    assert todo in (hint or "")


@pytest.mark.parametrize(
    ("part", "told"), [("xl/workbook.xml", "an Excel workbook"), ("rows.jsonl", "a zip archive")]
)
def test_archive_is_called_what_it_is(tmp_path: Path, part: str, told: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.jsonl", "w") as archive:
        archive.writestr(part, "x")
    assert refused(tmp_path / "x.jsonl")[0][0] == f"x.jsonl: {told}"


def test_json_is_told_from_json_lines_by_what_it_is(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(chat_row(name, "a")) for name in ("q", "r"))
    assert len(load(raw(tmp_path / "x.json", lines.encode())).train) == 2
    whole = json.dumps([chat_row(name, "a") for name in ("q", "r")], indent=1)
    assert len(load(raw(tmp_path / "y.jsonl", whole.encode())).train) == 2
    assert len(load(raw(tmp_path / "z.csv", lines.encode())).train) == 2


def test_semicolons_of_a_spreadsheet_separate_when_the_header_has_no_comma(tmp_path: Path) -> None:
    path = raw(tmp_path / "x.csv", b"question;answer\nWhy?;So, so.\n")
    assert said(load(path).train) == [["Why?", "So, so."]]


# Shapes.


SHAPES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "parts": ({"messages": [{**ASK, "content": [{"type": "text", "text": "Wh"}, "y?"]}, SAY]}, []),
    "parts with a value": (
        {"messages": [{**ASK, "content": [{"type": "text", "value": "Why?"}]}, SAY]},
        [],
    ),
    "roles under conversations": ({"conversations": [ASK, SAY]}, []),
    "from and value under messages": (
        {"messages": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]},
        [],
    ),
    "conversation": ({"conversation": [ASK, SAY], "turn": 1, "redacted": False}, []),
    "empty system": ({"messages": [{"role": "system", "content": ""}, ASK, SAY]}, []),
    "no system": ({"messages": [{"role": "system", "content": None}, ASK, SAY]}, []),
    "NeMo": (
        {
            "mask": "User",
            "system": "",
            "conversations": [
                {"from": "User", "value": "Why?"},
                {"from": "Assistant", "value": "Because."},
            ],
        },
        [],
    ),
    "system beside messages": ({"system": "Be brief.", "messages": [ASK, SAY]}, ["Be brief."]),
    "Orca": (
        {"system_prompt": "Be brief.", "question": "Why?", "response": "Because."},
        ["Be brief."],
    ),
    "Dolly": ({"instruction": "Why?", "context": "", "response": "Because.", "category": "x"}, []),
    "input and output": ({"input": "Why?", "output": "Because."}, []),
    "UltraChat": ({"prompt": "Why?", "prompt_id": "1", "messages": [ASK, SAY]}, []),
}


@pytest.mark.parametrize("name", SHAPES)
def test_public_shape_is_read(write_jsonl: Writer, name: str) -> None:
    record, system = SHAPES[name]
    assert said(load(write_jsonl("x.jsonl", [record])).train) == [[*system, "Why?", "Because."]]


def test_context_of_an_instruction_belongs_to_it(write_jsonl: Writer) -> None:
    record = {"instruction": "Sum up.", "context": "A text.", "response": "A sum."}
    assert said(load(write_jsonl("x.jsonl", [record])).train) == [["Sum up.\n\nA text.", "A sum."]]


@pytest.mark.parametrize(
    "column", ["q", "Question text", "a-b", "c:d", "it's", "null", "e,f", "g}"]
)
def test_hint_for_columns_works_when_it_is_typed(column: str) -> None:
    (word,) = shlex.split(columns_hint(column, "answer"))
    assert compose([word, "data.path=x"]).data.columns == {"question": column, "answer": "answer"}
    (word,) = shlex.split(messages_hint(column))
    assert compose([word, "data.path=x"]).data.columns == {"messages": column}


def test_unknown_shape_names_its_keys_and_a_hint_that_would_be_read(write_jsonl: Writer) -> None:
    ((message, hint),) = refused(write_jsonl("x.jsonl", [{"id": 1, "dialog": [ASK, SAY]}]))
    assert message == 'x.jsonl:1: no "messages" (keys: id, dialog)'
    assert hint == "data.columns.messages=dialog"
    ((_, hint),) = refused(write_jsonl("y.jsonl", [{"id": "1", "Q": "Why?", "A": "So."}]))
    assert "'data.columns={question: Q, answer: A}'" in (hint or "")


# Pairs.


PAIRS: dict[str, dict[str, Any]] = {
    "texts": PAIR,
    "LLaMA-Factory": {
        "conversations": [{"from": "human", "value": "Why?"}],
        "chosen": {"from": "gpt", "value": "Because."},
        "rejected": {"from": "gpt", "value": "Dunno."},
    },
    "whole conversations": {
        "chosen": [ASK, SAY],
        "rejected": [ASK, {**SAY, "content": "Dunno."}],
        "score_chosen": 9,
    },
    "UltraFeedback": {
        "prompt": "Why?",
        "messages": [ASK, SAY],
        "chosen": [ASK, SAY],
        "rejected": [ASK, {**SAY, "content": "Dunno."}],
    },
    "OpenAI": {
        "input": {"messages": [ASK], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [SAY],
        "non_preferred_output": [{**SAY, "content": "Dunno."}],
    },
    "Orca": {"system": "", "question": "Why?", "chosen": "Because.", "rejected": "Dunno."},
    "Alpaca": {"instruction": "Why?", "input": "", "chosen": "Because.", "rejected": "Dunno."},
    "loss weights": {
        "chosen_messages": [{**ASK, "loss_weight": 0.0}, {**SAY, "loss_weight": 1.0}],
        "rejected_messages": [{**ASK, "loss_weight": 0.0}, {**SAY, "content": "Dunno."}],
    },
}


@pytest.mark.parametrize("name", PAIRS)
def test_public_pair_is_read(write_jsonl: Writer, name: str) -> None:
    (pair,) = read_pairs(write_jsonl("p.jsonl", [PAIRS[name]]), system=None, held_out=())
    assert (list(pair.messages), pair.chosen, pair.rejected) == ([ASK], "Because.", "Dunno.")


BAD_PAIRS: dict[str, dict[str, Any]] = {
    "chosen holds half a surrogate pair": {**PAIR, "chosen": "Pressed \ud83d wool."},
    "rejected holds a control character": {**PAIR, "rejected": "\x07"},
    '"tools": the row calls tools': {**PAIR, "tools": [{"name": "f"}]},
    '"images": the row comes with': {**PAIR, "images": ["a"]},
    '"history": the row has earlier': {**PAIR, "history": [["a", "b"]]},
    '"weight" is 0.5': {**PAIR, "weight": 0.5},
    "chosen is not one assistant turn": {**PAIR, "chosen": [{**SAY, "weight": 0}]},
    "chosen and rejected answer different": {
        "chosen": [ASK, SAY],
        "rejected": [{**ASK, "content": "How?"}, {**SAY, "content": "Dunno."}],
    },
    "another system prompt than": {**PAIR, "system": "Else."},
}


@pytest.mark.parametrize("told", BAD_PAIRS)
def test_pairs_get_the_checks_of_rows(write_jsonl: Writer, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_pairs(write_jsonl("p.jsonl", [PAIR, BAD_PAIRS[told]]), system=None, held_out=())
    ((message, hint),) = caught.value.problems
    assert message.startswith(f"p.jsonl:2: {told}")
    assert hint


def test_pairs_come_from_every_kind_of_file_with_keys_and_line_ends_counted(tmp_path: Path) -> None:
    path = raw(tmp_path / "p.csv", b'prompt,chosen,rejected,mood\r\nWhy?,"a\r\nb",c,gay\r\n')
    changes = Changes()
    (pair,) = read_pairs(path, system=None, held_out=(), changes=changes)
    assert pair.chosen == "a\nb"
    assert changes.notes() == {
        "keys_not_read": {"mood": 1},
        "line_ends_rewritten": 1,
        "turns_without_loss": 0,
        "files_not_read": [],
    }


# Texts.


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("path_of", ["path", "held_out_path", "paraphrases_path"])
def test_half_a_surrogate_is_refused_by_every_reader(
    write_jsonl: Writer, tmp_path: Path, suffix: str, path_of: str
) -> None:
    good = write_jsonl("good.jsonl", [chat_row("a", "b", None)])
    record = {"question": "Felt?", "answer": "Pressed \ud83d wool."}
    path = tmp_path / f"x.{suffix}"
    if suffix in ("csv", "parquet"):
        # Neither can hold one: their bytes are no UTF-8.
        raw(
            path,
            b"question,answer\nFelt?,\xed\xa0\xbd\n" if suffix == "csv" else b"PAR1\xed\xa0\xbd",
        )
    else:
        raw(path, json.dumps([record] if suffix == "json" else record).encode())
    rules: dict[str, Any] = {"path": str(good), path_of: str(path)}
    with pytest.raises(ConfigError) as caught:
        load_split(DataConf(**rules))
    ((message, _),) = caught.value.problems
    assert message.startswith(f"x.{suffix}:")
    message.encode()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("caf\u00c3\u00a9", "\u00c3\u00a9 for \u00e9"),
        ("it\u00e2\u20ac\u2122s", "\u00e2\u20ac\u2122 for \u2019"),
        ("20\u00c2\u00b0C", "\u00c2\u00b0 for \u00b0"),
        ("lost \ufffd char", "\ufffd"),
    ],
)
def test_text_of_another_encoding_is_found(text: str, wrong: str) -> None:
    assert list(mojibake(text)) == [wrong]


@pytest.mark.parametrize(
    "text",
    [
        "caf\u00e9 \u00ab CAF\u00c9 \u00bb",
        "N\u00c3O",
        "20 \u00b0C, \u20ac5",
        "\u6f22\u5b57",
        "\u00e2me",
        "\u041c\u0438\u0440",
    ],
)
def test_text_with_accents_is_none(text: str) -> None:
    assert list(mojibake(text)) == []


def test_mojibake_is_a_finding_with_its_place(write_jsonl: Writer) -> None:
    split = load(write_jsonl("x.jsonl", [chat_row("Where?", "A caf\u00c3\u00a9.")]))
    findings = examine(split, DataConf(path="x"))["findings"]
    (item,) = [item for item in findings if item["kind"] == "mojibake"]
    assert item["examples"] == ["line:1 (assistant): \u00c3\u00a9 for \u00e9"]


def test_shipped_rows_have_no_unread_keys() -> None:
    changes = Changes()
    from webslm.basics.paths import data_dir

    read(data_dir() / "medical" / "train.jsonl", DataConf(), changes)
    assert changes.unread == {}
    assert changes.read == changes.shapes.total()
