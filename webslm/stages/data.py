"""The data stage: chat rows checked, split and counted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from webslm.dataset import (
    Row,
    check_leakage,
    check_rows,
    dump_rows,
    read_rows,
    split_rows,
)
from webslm.fs import write_text
from webslm.paths import resolve_data
from webslm.schema import DataConf, DataStageConf
from webslm.stage import Context, Metric, Metrics

SENTENCE = re.compile(r"(?<=[.!?])\s+")


def run(cfg: DataStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write ``train.jsonl``, ``held_out.jsonl`` and ``stats.json``.

    Raises:
        ConfigError: A line is wrong, rows repeat each other or the split leaks.
    """
    del inputs, ctx
    train, held_out = load_split(cfg.data)
    write_text(out / "train.jsonl", dump_rows(train))
    write_text(out / "held_out.jsonl", dump_rows(held_out))
    stats: dict[str, Metric] = {
        "system_prompt": train[0].system,
        "train": describe(train, cfg.data.closing),
        "held_out": describe(held_out, cfg.data.closing),
    }
    write_text(out / "stats.json", json.dumps(stats, indent=1, ensure_ascii=False))
    return stats


def load_split(data: DataConf) -> tuple[list[Row], list[Row]]:
    """Return the checked (train, held-out) rows of a configuration.

    Raises:
        ConfigError: As ``run`` does; cheap enough to be asked before any work starts.
    """
    path = resolve_data(data.path)
    rows = read_rows(path)
    check_rows(rows, path.name)
    if data.held_out_path is None:
        return split_rows(rows, fraction=data.held_out_fraction, seed=data.seed)
    held_path = resolve_data(data.held_out_path)
    held_out = read_rows(held_path)
    check_rows([rows[0], *held_out], held_path.name)
    check_leakage(rows, held_out, held_path.name)
    return rows, held_out


def describe(rows: Sequence[Row], closing: str | None) -> dict[str, Metric]:
    """Return counts, mean words and the share of answers whose last sentence matches ``closing``.

    The share is None when there is no rule or no answer.
    """
    answers = [answer for row in rows for answer in row.answers]
    questions = [question for row in rows for question in row.questions]
    share = None
    if closing is not None and answers:
        pattern = re.compile(closing, re.IGNORECASE)
        closed = sum(bool(pattern.search(SENTENCE.split(text.strip())[-1])) for text in answers)
        share = round(closed / len(answers), 4)
    return {
        "rows": len(rows),
        "multi_turn_rows": sum(len(row.questions) > 1 for row in rows),
        "answers": len(answers),
        "question_words_mean": _mean_words(questions),
        "answer_words_mean": _mean_words(answers),
        "closing_share": share,
    }


def _mean_words(texts: Sequence[str]) -> float:
    return round(sum(len(text.split()) for text in texts) / len(texts), 1) if texts else 0.0
