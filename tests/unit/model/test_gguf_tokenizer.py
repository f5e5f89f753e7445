"""Vocabularies of GGUF files as tokenizers: pieces by scores, merges by rule, whole tokens."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import pre_tokenizers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from webslm.model.gguf.header import Header
from webslm.model.gguf.pretokenizers import PRETOKENIZERS, QWEN2
from webslm.model.gguf.tokenizer import build
from webslm.model.gguf.vocabulary import Vocabulary, read_vocabulary

SPACE = "\u2581"
# Pieces with their scores and kinds: unknown, control, user-defined, bytes, ordinary ones.
PIECES: list[tuple[str, float, int]] = [
    ("<unk>", 0.0, 2),
    ("<s>", 0.0, 3),
    ("</s>", 0.0, 3),
    ("<|user|>", 0.0, 3),
    ("  ", -1000.0, 4),
    *((f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)),
    *((letter, -50.0 - i, 1) for i, letter in enumerate(f"{SPACE}helo wrd")),
    ("he", -1.0, 1),
    ("ll", -2.0, 1),
    ("el", -0.5, 1),
    ("llo", -3.0, 1),
    (f"{SPACE}h", -4.0, 1),
    (f"{SPACE}hello", -30.0, 1),
]


def vocabulary(**changes: Any) -> Vocabulary:
    metadata: dict[str, Any] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [piece for piece, *_ in PIECES],
        "tokenizer.ggml.scores": [score for _, score, _ in PIECES],
        "tokenizer.ggml.token_type": [kind for *_, kind in PIECES],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    metadata |= {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    return read_vocabulary(Header(name="m", metadata=metadata, tensors={}))


def cut(
    text: str, model_type: str = "llama", *, special: bool = False, **changes: Any
) -> list[str]:
    made = build(vocabulary(**changes), model_type)
    return [str(made.id_to_token(i)) for i in made.encode(text, add_special_tokens=special).ids]


def test_the_best_score_joins_first() -> None:
    # "el" (-0.5) comes before "he" (-1) and "ll" (-2); then nothing makes h-el-l longer.
    assert cut("hello") == [f"{SPACE}h", "el", "l", "o"]
    assert cut("hello", add_space_prefix=False) == ["h", "el", "l", "o"]


def test_a_text_begins_and_goes_on_as_the_file_says() -> None:
    assert cut("he", special=True) == ["<s>", SPACE, "he"]
    made = cut("he", special=True, add_bos_token=False, add_eos_token=True)
    assert made == [SPACE, "he", "</s>"]


def test_what_is_not_in_the_vocabulary_falls_back_to_bytes_and_comes_back() -> None:
    # After a whole token a text begins anew, with a space of its own where the file adds one.
    made = build(vocabulary(add_space_prefix=False), "llama")
    text = "h\u00e9llo \U0001f600\n  w"
    ids = made.encode(text, add_special_tokens=False).ids
    assert "<0xC3>" in [made.id_to_token(i) for i in ids]
    assert "  " in [made.id_to_token(i) for i in ids]
    assert made.decode(ids) == text


def test_special_tokens_of_phi3_take_the_white_space_after_them() -> None:
    assert cut("<|user|>\n he", add_space_prefix=False)[1] == "<0x0A>"
    assert cut("<|user|>\n he", "phi3", add_space_prefix=False) == ["<|user|>", "he"]


def test_whole_tokens_are_never_cut_nor_made_of_parts() -> None:
    made = build(vocabulary(), "llama")
    assert made.encode("<s>", add_special_tokens=False).ids == [1]
    assert made.decode([1, 5 + ord("h")]) == "h"


def byte_level(rule: str) -> Any:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": rule,
        "tokenizer.ggml.tokens": [*alphabet, "ab"],
        "tokenizer.ggml.merges": ["a b"],
    }
    return build(read_vocabulary(Header(name="m", metadata=metadata, tensors={})), "llama")


@pytest.mark.parametrize(
    ("rule", "pieces"),
    [
        ("gpt-2", ["It", "'s", "\u01201234", "!", "\u0120", "\u0120a", "\u010a"]),
        ("smollm", ["It", "'s", "\u0120", *"1234", "!", "\u0120", "\u0120a", "\u010a"]),
        ("llama-bpe", ["It", "'s", "\u0120", "123", "4", "!", "\u0120", "\u0120a", "\u010a"]),
        ("qwen2", ["It", "'s", "\u0120", *"1234", "!", "\u0120", "\u0120a", "\u010a"]),
        ("deepseek-coder", ["It", "'", "s", "\u0120", *"1234", "!", "\u0120", "\u0120a", "\u010a"]),
        ("gpt-4o", ["It's", "\u0120", "123", "4", "!", "\u0120", "\u0120a", "\u010a"]),
        ("tekken", ["It", "'s", "\u0120", *"1234", "!", "\u0120", "\u0120a", "\u010a"]),
    ],
)
def test_a_rule_cuts_words_digits_and_spaces(rule: str, pieces: list[str]) -> None:
    made = byte_level(rule)
    assert made.pre_tokenizer is not None
    assert [piece for piece, _ in made.pre_tokenizer.pre_tokenize_str("It's 1234!  a\n")] == pieces


def test_qwens_rule_is_the_one_transformers_has() -> None:
    assert QWEN2 == PRETOKENIZE_REGEX


@pytest.mark.parametrize("rule", PRETOKENIZERS)
def test_every_rule_gives_any_text_back(rule: str) -> None:
    made = byte_level(rule)
    text = "Caf\u00e9 \u4f60\u597d 12,345.6 it's\r\n\t\u00a0 \u200dabab \U0001f600!?  \n"
    assert made.decode(made.encode(text, add_special_tokens=False).ids) == text
