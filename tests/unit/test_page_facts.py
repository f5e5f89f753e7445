"""What the page is told of a tokenizer, for the vocabularies that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from webslm.page_facts import blank_tokens, special_tokens

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
