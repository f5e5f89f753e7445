"""Own how a base reads rows: lengths in tokens, what is learnt, planned steps. Train nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webslm.model.prompts.ends import stop_ids
from webslm.rows.roles import Messages
from webslm.schema import LoraConf
from webslm.training import training_rows
from webslm.training.loading import load_tokenizer
from webslm.training.turns import EncodedRow, encode, sample

INSPECTED = 2000
"""Rows looked at, evenly spaced, where there are more."""
BINS = 16
NAMED = 10


def inspect_rows(
    base: Path, rows: Sequence[Messages], *, lora: LoraConf, context: int
) -> dict[str, Any]:
    """Return ``inspect.json``: lengths in tokens, the rows too long, samples and planned steps.

    Args:
        base: Checkpoint folder with tokenizer and chat template.
        rows: Training rows.
        lora: How they will be learnt.
        context: Tokens that the browser's model reads at once.

    Raises:
        ConfigError, StageFailed: A row cannot be learnt, as ``turns.encode`` says.
    """
    tokenizer = load_tokenizer(base)
    stops = stop_ids(base, tokenizer)
    count = min(len(rows), INSPECTED)
    read = [
        encode(tokenizer, rows[index], number=index + 1, stops=stops, loss=lora.loss)
        for index in (place * len(rows) // count for place in range(count))
    ]
    seen = [row for answers in read for row in answers]
    lengths = [len(row.input_ids) for row in seen]
    long = list(dict.fromkeys(r.number for r in seen if len(r.input_ids) > lora.max_length))
    return {
        "rows": len(rows),
        "inspected": count,
        "tokens": sum(lengths),
        "longest": max(lengths),
        "trained_share": round(sum(row.trained for row in seen) / sum(lengths), 4),
        "loss": lora.loss.value,
        "max_length": lora.max_length,
        "positions": training_rows.positions(base),
        "context_window_size": context,
        "too_long": {"count": len(long), "lines": long[:NAMED]},
        "histogram": histogram(lengths),
        "answer_by_answer": sum(len(answers) > 1 for answers in read),
        "plan": planned(round(len(rows) * len(seen) / count), lora),
        "samples": [_shown(tokenizer, row) for row in _samples(seen, rows)],
    }


def _shown(tokenizer: Any, row: EncodedRow) -> dict[str, Any]:
    return {"line": row.number, "tokens": len(row.input_ids), "pieces": sample(tokenizer, row)}


def planned(rows: int, lora: LoraConf) -> dict[str, Any]:
    """Return the optimiser steps that the configuration means, as transformers counts them."""
    batches = math.ceil(rows * (1 + lora.augment.copies) / lora.batch_size)
    per_epoch = max(1, math.ceil(batches / lora.gradient_accumulation_steps))
    return {
        "steps": math.ceil(lora.epochs * per_epoch) if lora.max_steps is None else lora.max_steps,
        "steps_per_epoch": per_epoch,
        "epochs": lora.epochs,
        "copies": lora.augment.copies,
        "rows_per_step": min(rows, lora.batch_size * lora.gradient_accumulation_steps),
    }


def histogram(lengths: Sequence[int]) -> list[list[int]]:
    """Return [first length, last length, rows] of up to ``BINS`` bins of equal width."""
    low = min(lengths)
    width = math.ceil((max(lengths) - low + 1) / BINS)
    counts = [0] * ((max(lengths) - low) // width + 1)
    for length in lengths:
        counts[(length - low) // width] += 1
    return [
        [low + at * width, low + at * width + width - 1, count] for at, count in enumerate(counts)
    ]


def _samples(seen: Sequence[EncodedRow], rows: Sequence[Messages]) -> list[EncodedRow]:
    """Return the first row, the first of several turns and the longest: each once."""
    several = [r for r in seen if sum(m["role"] == "user" for m in rows[r.number - 1]) > 1]
    longest = max(seen, key=lambda row: len(row.input_ids))
    found = {row.number: row for row in (seen[0], *several[:1], longest)}
    return list(found.values())
