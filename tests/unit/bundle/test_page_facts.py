"""What the page is told of a tokenizer, for the vocabularies that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import chat_row
from webslm.basics.errors import ConfigError
from webslm.bundle import page_facts
from webslm.bundle.page_facts import blank_tokens, documents, special_tokens

BYTE_LEVEL = {
    "model": {"vocab": {"a": 0, "Ġ": 1, "ĊĊ": 2, "Ġa": 3, "č": 4, "ĉ": 5, "▁": 6}},
    "decoder": {"type": "ByteLevel"},
}
SENTENCE_PIECE = {
    "model": {"vocab": {"a": 0, "▁": 1, "▁▁": 2, "\n": 3, "č": 4, "<0x0A>": 5, "<0x41>": 6}},
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}]},
}
UNIGRAM = {
    "model": {"vocab": [["<s>", 0.0], ["▁", -1.5], ["▁a", -2.0], ["", -9.0]]},
    "decoder": {"type": "Metaspace"},
}


@pytest.mark.parametrize(
    ("tokenizer", "blank"),
    [(BYTE_LEVEL, [1, 2, 4, 5]), (SENTENCE_PIECE, [1, 2, 3, 5]), (UNIGRAM, [1])],
    ids=["byte level", "byte fallback", "unigram"],
)
def test_blank_tokens_are_white_space_and_nothing_else(
    tmp_path: Path, tokenizer: dict[str, Any], blank: list[int]
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    assert blank_tokens(path) == blank


def test_special_tokens_come_longest_first(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    added = [{"content": text} for text in ("<s>", "<|end|>", "<s>")]
    path.write_text(json.dumps({"added_tokens": added}), encoding="utf-8")
    assert special_tokens(path) == ["<|end|>", "<s>"]


DOCUMENT = {"id": "a", "title": "T", "content": "C"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_documents_are_read_with_their_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "knowledge.json"
    path.write_text(json.dumps([DOCUMENT]), encoding=encoding)
    assert documents(path) == [DOCUMENT]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "not JSON"),
        (json.dumps([{**DOCUMENT, "content": "\ud83d"}]), "document 1 holds half a surrogate pair"),
        (json.dumps([DOCUMENT, {"id": "b"}]), "document 2 is not whole"),
        ("{}", "document 1 is not whole"),
    ],
)
def test_document_that_cannot_be_shown_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "knowledge.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told) as caught:
        documents(path)
    assert caught.value.hint


def test_questions_of_own_rows_are_short_first_turns_over_the_whole_file(tmp_path: Path) -> None:
    rows = [chat_row(f"Question {number}?", f"Answer {number}.") for number in range(8)]
    rows[1] = chat_row("Long " * 30, "a")
    rows[2] = chat_row("Two\nlines?", "b")
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert page_facts.starters(path) == [f"Question {number}?" for number in (0, 3, 5, 6)]
    assert page_facts.starters(path, 9) == [f"Question {number}?" for number in (0, 3, 4, 5, 6, 7)]


def test_own_rows_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(chat_row("What is tea?", "A hot drink.")), encoding="utf-8")
    assert page_facts.row_documents(path) == [
        {"id": "row-1", "title": "What is tea?", "content": "A hot drink."}
    ]
