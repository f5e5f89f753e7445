"""``inspect``: the rows as the base reads them, before any time goes into training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from webslm.basics import artifact_files
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.fs import read_object, write_text
from webslm.basics.stage import Context, Metrics
from webslm.evaluation.inspection import inspect_rows
from webslm.model.weights.vocabulary import check_unused
from webslm.rows import artifact
from webslm.rows.roles import Messages
from webslm.schema import InspectStageConf

SHOWN = (
    *("rows", "inspected", "tokens", "longest", "trained_share", "too_long"),
    *("answer_by_answer", "plan"),
)


def run(cfg: InspectStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write ``inspect.json``: lengths, the loss mask of some rows, optimiser steps.

    Raises:
        ConfigError: The base's chat template refuses the roles of a row, or a row needs a token
            that the base's embedding table lacks.
        StageFailed: A prompt is not what precedes its answer in training, or no stop token ends
            an answer.
    """
    rows = artifact.learnt_rows(inputs["data"])
    _check_tokens(inputs["base"], rows)
    found = inspect_rows(inputs["base"], rows, lora=cfg.lora, context=cfg.context_window_size)
    write_text(
        out / artifact_files.INSPECTION, json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    )
    plan = found["plan"]
    ctx.progress.note(f"{plan['steps']} steps, longest row {found['longest']} tokens")
    return {key: found[key] for key in SHOWN}


def _check_tokens(base: Path, rows: Sequence[Messages]) -> None:
    """Ask for the tokens that the base stage left out: a hub's are known when it was fetched."""
    lacking = read_object(base / artifact_files.BASE).get("lacking_tokens", {})
    texts = (
        (f"row {number}, message {index}", message["content"])
        for number, messages in enumerate(rows, 1)
        for index, message in enumerate(messages, 1)
    )
    try:
        check_unused(lacking, texts, min(lacking.values(), default=0))
    except StageFailed as exc:
        raise ConfigError(exc.message, hint=exc.hint) from exc
