"""Own what a GGUF file says of its tokens: kinds, special ones, stops, the chat template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.model.gguf.header import Header
from webslm.model.gguf.pretokenizers import PRETOKENIZERS

BYTE_LEVEL, SENTENCE_PIECE = "gpt2", "llama"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
STOPS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end_of_turn|>",
    "<EOT>",
)
"""What ends a turn by its name; counts where the template writes it."""
KEY = "tokenizer.ggml."
TEMPLATE = "tokenizer.chat_template"


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The tokens of a file and what is special about them."""

    kind: str
    """``gpt2``: byte-level with merges; ``llama``: SentencePiece's pieces with scores."""
    pre: str
    tokens: Sequence[str]
    types: Sequence[int]
    merges: Sequence[str]
    scores: Sequence[float]
    special: Mapping[str, int]
    """bos, eos, pad and unk to ids, as far as the file names them."""
    stops: tuple[int, ...]
    """What ends an answer."""
    add_bos: bool
    add_eos: bool
    add_space: bool
    """Text begins with a space of its own (SentencePiece)."""
    template: str | None
    other_templates: tuple[str, ...]
    """Names of templates that are not used."""


def read_vocabulary(header: Header) -> Vocabulary:
    """Return the vocabulary of a file.

    Raises:
        ConfigError: Its kind or its cutting rule is unknown, or a part is missing.
    """
    found = header.metadata
    kind, pre = str(found.get(KEY + "model", "none")), str(found.get(KEY + "pre", ""))
    if kind not in (BYTE_LEVEL, SENTENCE_PIECE):
        raise ConfigError(
            f"{header.name}: tokenizer {kind!r} is not read",
            hint=f"known: {BYTE_LEVEL} (byte-level merges) and {SENTENCE_PIECE} (SentencePiece)",
        )
    if kind == BYTE_LEVEL and pre not in PRETOKENIZERS:
        said = f"tokenizer.ggml.pre is {pre!r}" if pre else "no tokenizer.ggml.pre"
        raise ConfigError(
            f"{header.name}: {said}: how text is cut into words is not known",
            hint=f"{'a file with' if pre else 'a newer file that names'} one of "
            f"{', '.join(sorted(PRETOKENIZERS))}",
        )
    tokens = _list(header, "tokens")
    count = len(tokens)
    types = _list(header, "token_type", count, default=[NORMAL] * count)
    template, others = _template(found)
    special = read_special(found, count)
    return Vocabulary(
        kind=kind,
        pre=pre,
        tokens=_named(tokens, header),
        types=types,
        merges=_list(header, "merges") if kind == BYTE_LEVEL else (),
        scores=_list(header, "scores", count) if kind == SENTENCE_PIECE else (),
        special={name: index for name, index in special.items() if name not in ("eot", "eom")},
        stops=_stops(special, tokens, template),
        add_bos=_flag(found, "add_bos_token", kind == SENTENCE_PIECE or pre in _STARTED),
        add_eos=_flag(found, "add_eos_token", default=False),
        add_space=_flag(found, "add_space_prefix", kind == SENTENCE_PIECE),
        template=template,
        other_templates=others,
    )


_STARTED = ("llama-bpe", "llama3", "llama-v3", "falcon3", "tekken")
"""Cutting rules whose models begin with bos where the file does not say."""


def _list(
    header: Header, key: str, count: int | None = None, default: list[Any] | None = None
) -> list[Any]:
    found = header.metadata.get(KEY + key, default)
    kind = str if key in ("tokens", "merges") else (int, float)
    if not isinstance(found, list) or not found or not isinstance(found[0], kind):
        raise ConfigError(
            f"{header.name}: no {KEY}{key}", hint="take the model's whole file, not a part of it"
        )
    if count is not None and len(found) != count:
        raise ConfigError(f"{header.name}: {len(found)} {KEY}{key} for {count} tokens")
    return found


def _named(tokens: list[str], header: Header) -> list[str]:
    """Return the tokens with names for empty ones; each is the only one of its name."""
    named = [token or f"[EMPTY_{index}]" for index, token in enumerate(tokens)]
    if len(set(named)) != len(named):
        twice = next(token for token, count in Counter(named).items() if count > 1)
        raise ConfigError(
            f"{header.name}: token {twice!r} is in the vocabulary twice", hint="take another file"
        )
    return named


def read_special(found: Mapping[str, Any], count: int) -> dict[str, int]:
    """Return bos, eos, eot, eom, pad and unk to ids, as far as a file names them."""
    keys = {
        "bos": "bos_token_id",
        "eos": "eos_token_id",
        "eot": "eot_token_id",
        "eom": "eom_token_id",
        "pad": "padding_token_id",
        "unk": "unknown_token_id",
    }
    named = {name: found.get(KEY + key) for name, key in keys.items()}
    return {
        name: index
        for name, index in named.items()
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < count
    }


def _stops(special: Mapping[str, int], tokens: list[str], template: str | None) -> tuple[int, ...]:
    ends = [special[name] for name in ("eos", "eot", "eom") if name in special]
    written = [stop for stop in STOPS if template is not None and stop in template]
    where = {token: index for index, token in enumerate(tokens) if token in written}
    return tuple(dict.fromkeys([*ends, *where.values()]))


def _template(found: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    named = sorted(key for key in found if key.startswith(TEMPLATE + "."))
    template = found.get(TEMPLATE) or found.get(f"{TEMPLATE}.default")
    others = (key.removeprefix(TEMPLATE + ".") for key in named if key != f"{TEMPLATE}.default")
    return (str(template) if template else None), tuple(others)


def _flag(found: Mapping[str, Any], key: str, default: bool) -> bool:  # noqa: FBT001  a value
    return bool(found.get(KEY + key, default))
