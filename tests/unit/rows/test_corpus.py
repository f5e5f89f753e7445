"""Rows of every source and shape become the same conversations, by rule and counted."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SYSTEM, chat_row
from webslm.basics.errors import ConfigError
from webslm.basics.paths import resolve_data
from webslm.config.checks.data import problems
from webslm.rows.changes import Changes
from webslm.rows.source import Split, load_split, read
from webslm.schema import DataConf, HubRowsConf

Writer = Callable[..., Path]
TURNS = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
WITH_SYSTEM = [{"role": "system", "content": SYSTEM}, *TURNS]

SHAPES: dict[str, tuple[dict[str, Any], list[dict[str, str]]]] = {
    "chat": ({"messages": WITH_SYSTEM, "id": 7}, WITH_SYSTEM),
    "sharegpt": (
        {
            "conversations": [
                {"from": "system", "value": SYSTEM},
                {"from": "human", "value": "Why?"},
                {"from": "gpt", "value": "Because."},
            ]
        },
        WITH_SYSTEM,
    ),
    "sharegpt with a system beside": (
        {
            "system": SYSTEM,
            "conversations": [
                {"from": "user", "value": "Why?"},
                {"from": "chatgpt", "value": "Because."},
            ],
        },
        WITH_SYSTEM,
    ),
    "sharegpt with an empty system": (
        {
            "conversations": [
                {"from": "system", "value": " "},
                {"from": "human", "value": "Why?"},
                {"from": "gpt", "value": "Because."},
            ]
        },
        TURNS,
    ),
    "alpaca": ({"instruction": "Why?", "input": "", "output": "Because."}, TURNS),
    "alpaca with input": (
        {"instruction": "Sum up.", "input": "A text.", "output": "A sum."},
        [
            {"role": "user", "content": "Sum up.\n\nA text."},
            {"role": "assistant", "content": "A sum."},
        ],
    ),
    "pairs": ({"question": "Why?", "answer": "Because.", "system": SYSTEM}, WITH_SYSTEM),
    "completion": ({"prompt": "Why?", "completion": "Because."}, TURNS),
}


def conf(path: Path | str | None = None, **changes: Any) -> DataConf:
    return DataConf(path=None if path is None else str(path), **changes)


def messages(rows: list[Any]) -> list[list[dict[str, str]]]:
    return [list(row.messages) for row in rows]


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_becomes_a_conversation(write_jsonl: Writer, shape: str) -> None:
    record, wanted = SHAPES[shape]
    path = write_jsonl("x.jsonl", [record])
    changes = Changes()
    assert messages(read(path, conf(path), changes)) == [wanted]
    assert sum(changes.shapes.values()) == 1


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"text": "x"}, 'no "messages"'),
        ({"conversations": ["x"]}, "message 1 is not an object"),
        ({"conversations": [{"from": "tool", "value": "x"}]}, "message 1 has the role 'tool'"),
        ({"conversations": [{"from": "gpt", "value": "x"}]}, "the first turn is not the user's"),
        ({"instruction": None, "output": "x"}, "the question has no text"),
        ({"instruction": "x", "output": " "}, "the answer is empty"),
    ],
)
def test_record_that_fits_no_shape_is_named(
    write_jsonl: Writer, record: dict[str, Any], told: str
) -> None:
    path = write_jsonl("x.jsonl", [SHAPES["chat"][0], record])
    with pytest.raises(ConfigError) as caught:
        read(path, conf(path), Changes())
    ((message, hint),) = caught.value.problems
    assert message.startswith(f"x.jsonl:2: {told}")
    assert hint


USER = {"role": "user", "content": "q"}
ASSISTANT = {"role": "assistant", "content": "a"}
TOLD = {"role": "system", "content": "s"}

BAD_LINES: dict[str, Any] = {
    "not JSON": "{",
    "not a JSON object": "[1]",
    'no "messages"': '{"text": "x"}',
    '"messages" is not a list with entries': '{"messages": []}',
    "message 1 is not an object": '{"messages": ["x"]}',
    "message 1 has the role 'bot'": {"messages": [{"role": "bot", "content": "x"}]},
    'message 1 has neither "role" nor "from" (keys: content)': {"messages": [{"content": "x"}]},
    "message 1 (user) has no text": {"messages": [{"role": "user", "content": 3}]},
    "message 2 (assistant) is empty": {"messages": [USER, {**ASSISTANT, "content": "  "}]},
    "message 2 (assistant) holds a control": {"messages": [USER, {**ASSISTANT, "content": "\x07"}]},
    "message 1 (user) holds half a surrogate": (
        '{"messages": [{"role": "user", "content": "\\ud800"}]}'
    ),
    "a system message that is not the first": {"messages": [USER, TOLD, ASSISTANT]},
    "the first turn is not the user's": {"messages": [TOLD, ASSISTANT]},
    "two user turns in a row": {"messages": [USER, USER, ASSISTANT]},
    "two assistant turns in a row": {"messages": [USER, ASSISTANT, ASSISTANT]},
    "ends with the user's turn": {"messages": [USER, ASSISTANT, USER]},
}


@pytest.mark.parametrize("expected", BAD_LINES)
def test_bad_line_is_named_with_its_number(write_jsonl: Writer, expected: str) -> None:
    path = write_jsonl("my.jsonl", [chat_row("fine", "fine"), "", BAD_LINES[expected]])
    with pytest.raises(ConfigError) as caught:
        read(path, conf(path), Changes())
    ((message, hint),) = caught.value.problems
    assert message.startswith(f"my.jsonl:3: {expected}")
    assert hint


def test_every_bad_line_is_reported_at_once(write_jsonl: Writer) -> None:
    path = write_jsonl("my.jsonl", ["{", chat_row("q", "a"), "[]"])
    with pytest.raises(ConfigError) as caught:
        read(path, conf(path), Changes())
    assert [message.split(":")[1] for message, _ in caught.value.problems] == ["1", "3"]


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(json.dumps(chat_row("q", "a")).encode() + b"\n\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.jsonl:2: not UTF-8"):
        read(path, conf(path), Changes())


@pytest.mark.parametrize("kind", ["absent", "folder", "empty"])
def test_file_that_holds_no_rows_is_a_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.jsonl"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_text("\n\n")
    with pytest.raises(ConfigError, match=r"no such file|a folder|no rows"):
        read(path, conf(path), Changes())


def write_table(path: Path) -> Path:
    rows = [("Why?", "Because, so.", "a"), ("How,\nthough?", 'With "care".', "b")]
    if path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        names = ("q", "a", "tag")
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        parquet.write_table(pa.table(columns), path)
        return path
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([("q", "a", "tag"), *rows])
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_table_is_read_by_its_columns(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"x{suffix}")
    data = conf(path, columns={"question": "q", "answer": "a"})
    rows = read(path, data, Changes())
    assert [(row.questions[0], row.answers[0]) for row in rows] == [
        ("Why?", "Because, so."),
        ("How,\nthough?", 'With "care".'),
    ]
    with pytest.raises(ConfigError, match="no column 'b'") as caught:
        read(path, conf(path, columns={"question": "q", "answer": "b"}), Changes())
    assert "q, a, tag" in (caught.value.problems[0][1] or "")


def test_json_list_and_folder_are_read_in_order_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps([SHAPES["alpaca"][0]]), encoding="utf-8")
    (tmp_path / "a.jsonl").write_text("\n" + json.dumps({"messages": TURNS}), encoding="utf-8")
    (tmp_path / "notes.md").write_text("no data")
    rows = read(tmp_path, conf(tmp_path), Changes())
    assert [row.where("x") for row in rows] == ["a.jsonl:2", "b.json:1"]


BROKEN: dict[str, tuple[bytes, str]] = {
    "x.json": (
        b'{\n "data": []\n}',
        r"one JSON object, not a list of records \(keys: data",
    ),
    "y.json": (b"[", "not JSON"),
    "x.parquet": (b"PAR1 no", "not Parquet"),
    "x.csv": (b"question,answer\nWhy?\n", "x.csv:2: has another number of fields"),
    "y.csv": (b"question,answer\n", "no rows"),
    "z.csv": (b"question,answer\nWh\xff,b\n", "z.csv:2: not UTF-8"),
    "x.jsonl": (b"[1]\n", "x.jsonl:1: not a JSON object"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_one_sentence_with_a_hint(tmp_path: Path, name: str) -> None:
    content, told = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=told) as caught:
        read(tmp_path / name, conf(tmp_path / name), Changes())
    assert all(hint for _, hint in caught.value.problems)


def test_folder_without_data_and_link_out_of_it_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    with pytest.raises(ConfigError, match="a folder without data files"):
        read(folder, conf(folder), Changes())
    (tmp_path / "secret.jsonl").write_text(json.dumps({"messages": TURNS}))
    (folder / "rows.jsonl").symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(ConfigError, match="leads out of the folder"):
        read(folder, conf(folder), Changes())


def test_system_prompt_is_added_and_replaced_by_rule_and_counted(write_jsonl: Writer) -> None:
    path = write_jsonl(
        "x.jsonl",
        [
            {"messages": TURNS},
            chat_row("How?", "So.", "Other."),
            chat_row("Where?", "Here.", "Mine."),
        ],
    )
    split = load_split(conf(path, system="Mine.", held_out_fraction=0.0))
    assert {row.system for row in split.train} == {"Mine."}
    assert dict(split.changes.system) == {"added": 1, "replaced": 1}


def test_rows_with_and_without_a_system_prompt_do_not_mix(write_jsonl: Writer) -> None:
    path = write_jsonl("x.jsonl", [chat_row("How?", "So."), {"messages": TURNS}])
    with pytest.raises(ConfigError, match=r"x\.jsonl:2: no system prompt, unlike line 1") as caught:
        load_split(conf(path))
    assert "data.system=TEXT" in (caught.value.hint or "")


def test_rows_without_any_system_prompt_are_fine(write_jsonl: Writer) -> None:
    split = load_split(conf(write_jsonl("x.jsonl", [{"messages": TURNS}])))
    assert split.train[0].system is None


def test_bad_repeated_and_leaked_rows_are_left_out_and_counted(write_jsonl: Writer) -> None:
    train = write_jsonl(
        "t.jsonl", [chat_row("Why?", "a"), "{", chat_row("why", "b"), chat_row("How?", "c")]
    )
    held = write_jsonl("h.jsonl", [chat_row("WHY", "d"), chat_row("Where?", "e")])
    with pytest.raises(ConfigError):
        load_split(conf(train, held_out_path=str(held)))
    split: Split = load_split(conf(train, held_out_path=str(held), skip_bad=True))
    assert [row.answers[0] for row in split.train] == ["a", "c"]
    assert [row.answers[0] for row in split.held_out] == ["e"]
    assert dict(split.changes.left_out) == {
        "a mistake in the row": 1,
        "asks what an earlier row asks": 1,
        "held out, and trained as well": 1,
    }
    (example,) = split.changes.examples["a mistake in the row"]
    assert example.startswith("t.jsonl:2: not JSON")


def test_paraphrases_are_kept_apart_with_the_answers_of_their_rows(write_jsonl: Writer) -> None:
    train = write_jsonl("t.jsonl", [chat_row("Why?", "A."), chat_row("How?", "B.")])
    asked = write_jsonl("p.jsonl", [chat_row("For what reason?", "a")])
    split = load_split(conf(train, paraphrases_path=str(asked), held_out_fraction=0.0))
    assert [row.questions[0] for row in split.paraphrases] == ["For what reason?"]
    assert len(split.train) == 2


def test_paraphrase_of_a_row_that_is_held_out_is_not_asked(write_jsonl: Writer) -> None:
    train = write_jsonl("t.jsonl", [chat_row("Why?", "A."), chat_row("How?", "B.")])
    asked = write_jsonl("p.jsonl", [chat_row("What for?", "A."), chat_row("In what way?", "B.")])
    split = load_split(conf(train, paraphrases_path=str(asked), held_out_fraction=0.5))
    assert [row.answers for row in split.paraphrases] == [row.answers for row in split.train]


def test_paraphrase_that_is_trained_or_has_no_row_or_goes_on_is_named(write_jsonl: Writer) -> None:
    train = write_jsonl("t.jsonl", [chat_row("Why?", "A."), chat_row("How?", "B.")])
    asks = [{"role": "user", "content": f"Which {n}?"} for n in (1, 2)]
    says = {"role": "assistant", "content": "A."}
    longer = {"messages": [WITH_SYSTEM[0], asks[0], says, asks[1], says]}
    for row, told in (
        (chat_row("WHY", "A."), "question only to be asked stands in training line 1"),
        (chat_row("What for?", "C."), "no training row has this paraphrase's answer"),
        (longer, "a paraphrase of 2 turns"),
    ):
        asked = write_jsonl("p.jsonl", [row])
        with pytest.raises(ConfigError, match=told):
            load_split(conf(train, paraphrases_path=str(asked)))


def test_file_in_which_every_row_is_bad_is_an_error_even_when_skipping(write_jsonl: Writer) -> None:
    path = write_jsonl("x.jsonl", ["{", "["])
    with pytest.raises(ConfigError) as caught:
        read(path, conf(path, skip_bad=True), Changes())
    assert len(caught.value.problems) == 2


MISTAKES: dict[str, DataConf] = {
    "data.path: is not set": DataConf(),
    "data.hub.id: 'x' is not": DataConf(hub=HubRowsConf(id="x", revision="0" * 40)),
    "data.hub.revision: 'main'": DataConf(hub=HubRowsConf(id="a/b", revision="main")),
    "data.columns: no part 'text'": DataConf(path="x", columns={"text": "a"}),
    "data.columns: says no column for 'answer'": DataConf(path="x", columns={"question": "a"}),
    "data.columns: messages holds": DataConf(path="x", columns={"messages": "a", "answer": "b"}),
    "data.near_duplicate: 0": DataConf(path="x", near_duplicate=0.0),
    "data.refuse: nothing is called 'typos'": DataConf(path="x", refuse=["typos"]),
    "data.system: is empty": DataConf(path="x", system=" "),
}


@pytest.mark.parametrize("told", MISTAKES)
def test_rule_that_cannot_be_is_said_with_what_to_type(told: str) -> None:
    ((message, hint),) = problems(MISTAKES[told])
    assert message.startswith(told)
    assert hint


def test_rehearsal_stands_under_the_datas_prompt_and_asks_nothing_twice(tmp_path: Path) -> None:
    from webslm.rows.rehearsal import rehearsal

    def row(question: str, *, system: bool) -> str:
        start = [{"role": "system", "content": "Be brief."}] if system else []
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "Yes."}]
        return json.dumps({"messages": [*start, *turns]}) + "\n"

    own, general = tmp_path / "own.jsonl", tmp_path / "general.jsonl"
    own.write_text(row("Is tea hot?", system=True) + row("Is ice cold?", system=True))
    general.write_text(row("Is ICE cold", system=False) + row("Is Rome in Italy?", system=False))
    conf = DataConf(path=str(own), rehearsal_path=str(general), held_out_fraction=0.5)
    kept, left_out = rehearsal(conf, load_split(conf))
    assert [(item.system, item.questions[0]) for item in kept] == [
        ("Be brief.", "Is Rome in Italy?")
    ]
    assert left_out == 1


def test_shipped_rehearsal_asks_nothing_that_the_general_questions_ask() -> None:
    from webslm.rows.dataset import normal

    asked: dict[str, set[str]] = {}
    for name in ("rehearsal", "questions"):
        file = resolve_data(f"shipped:general/{name}.jsonl")
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        asked[name] = {normal(one["messages"][0]["content"]) for one in rows}
        assert len(asked[name]) == len(rows)
    assert not asked["rehearsal"] & asked["questions"]
