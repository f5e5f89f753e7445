"""``inspect``: the rows as the base reads them, before any time goes into training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from webslm.adapters import turns
from webslm.adapters.inspection import inspect_rows
from webslm.fs import write_text
from webslm.schema import InspectStageConf
from webslm.stage import Context, Metrics

REPORT = "inspect.json"
SHOWN = (
    *("rows", "inspected", "tokens", "longest", "trained_share", "too_long"),
    *("answer_by_answer", "plan"),
)


def run(cfg: InspectStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write ``inspect.json``: lengths, the loss mask of some rows, optimiser steps.

    Raises:
        ConfigError: The base's chat template refuses the roles of a row.
        StageFailed: A prompt is not what precedes its answer in training, or no stop token ends
            an answer.
    """
    rows = turns.read_rows(inputs["data"] / "train.jsonl")
    found = inspect_rows(inputs["base"], rows, lora=cfg.lora, context=cfg.context_window_size)
    write_text(out / REPORT, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    plan = found["plan"]
    ctx.progress.note(f"{plan['steps']} steps, longest row {found['longest']} tokens")
    return {key: found[key] for key in SHOWN}
