"""Own how byte-level vocabularies cut text before merging, by the name in ``tokenizer.ggml.pre``.

A GGUF holds no cutting rule, only its name. A rule is listed here when it was compared with token
ids that llama.cpp publishes for it, or is one that was.
"""

from __future__ import annotations

from dataclasses import dataclass

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TAIL_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_WORDS = rf"{_CONTRACTIONS}|{_LEAD}\p{{L}}+"
LLAMA3 = rf"{_WORDS}|\p{{N}}{{1,3}}|{_TAIL}"
QWEN2 = rf"{_WORDS}|\p{{N}}|{_TAIL}"
TEKKEN = rf"{_LEAD}{_UPPER}*{_LOWER}+|{_LEAD}{_UPPER}+{_LOWER}*|\p{{N}}|{_TAIL_SLASH}"
GPT_4O = (
    rf"{_LEAD}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_LEAD}{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}|{_TAIL_SLASH}"
)
DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+")


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How text is cut."""

    splits: tuple[str, ...] = ()
    """Regular expressions, one after the other; what matches and what lies between stay apart."""
    digits: bool = False
    """Digits stand alone."""
    words: bool = False
    """GPT-2's own rule comes last."""
    ignore_merges: bool = False
    """A whole piece that is in the vocabulary is one token, whatever the merges say."""
    compose: bool = False
    """Text is brought to Unicode's composed form (NFC) first."""


_GPT2 = Cutting(words=True)
_DIGITS = Cutting(digits=True, words=True)
_LLAMA3 = Cutting(splits=(LLAMA3,), ignore_merges=True)
_QWEN2 = Cutting(splits=(QWEN2,), compose=True)
PRETOKENIZERS = {
    "gpt-2": _GPT2,
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "command-r": _DIGITS,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "falcon3": _LLAMA3,
    "dbrx": Cutting(splits=(LLAMA3,)),
    "smaug-bpe": Cutting(splits=(LLAMA3,)),
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "megrez": _QWEN2,
    "deepseek-coder": Cutting(splits=DEEPSEEK_CODER, digits=True),
    "tekken": Cutting(splits=(TEKKEN,), ignore_merges=True),
    "gpt-4o": Cutting(splits=(GPT_4O,)),
}
