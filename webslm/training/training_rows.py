"""Own the rows of a fine-tune as tokens: those that were given and those that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webslm.basics import model_files
from webslm.basics.fs import read_object
from webslm.model.prompts.ends import stop_ids
from webslm.rows.roles import Messages
from webslm.schema import LoraConf
from webslm.training.augment import augmented
from webslm.training.turns import EncodedRow, encode, encode_all


def encoded(
    tokenizer: Any, base: Path, rows: Sequence[Messages], lora: LoraConf, seed: int
) -> tuple[list[EncodedRow], list[EncodedRow]]:
    """Return the given rows, and the copies that ``lora.augment`` asks for.

    A copy that came out longer than ``lora.max_length`` is left out.

    Raises:
        ConfigError: A given row is too long, or the chat template refuses it.
        StageFailed: The base has no stop token, or its template breaks the loss mask.
    """
    given = as_given(tokenizer, base, rows, lora)
    stops = stop_ids(base, tokenizer)
    copies = (
        row
        for index, messages in enumerate(augmented(rows, lora.augment, seed))
        for row in encode(
            tokenizer,
            messages,
            number=index // lora.augment.copies + 1,
            stops=stops,
            loss=lora.loss,
        )
    )
    return given, [row for row in copies if len(row.input_ids) <= lora.max_length]


def as_given(
    tokenizer: Any, base: Path, rows: Sequence[Messages], lora: LoraConf
) -> list[EncodedRow]:
    """Return rows as they are; raises as ``encoded`` does."""
    return encode_all(
        tokenizer,
        rows,
        stops=stop_ids(base, tokenizer),
        loss=lora.loss,
        max_length=lora.max_length,
        positions=positions(base),
    )


def positions(base: Path) -> int | None:
    """Return how many tokens a base was made for, as its config.json says."""
    found: int | None = read_object(base / model_files.CONFIG).get("max_position_embeddings")
    return found
