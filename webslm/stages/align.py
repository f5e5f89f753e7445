"""``align``: an adapter, and pairs of answers of which one is preferred, to an adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from webslm.basics.fs import write_text
from webslm.basics.paths import resolve_data
from webslm.basics.stage import Context, Metrics, loss_report
from webslm.rows import artifact
from webslm.rows.artifact import read_rows
from webslm.rows.changes import Changes
from webslm.rows.dataset import Row, asked
from webslm.rows.pairs import Pair, read_pairs
from webslm.schema import AlignStageConf, DpoConf
from webslm.training import dpo

OF_THIS_RUN = ("seconds", "resumed_at")


def run(cfg: AlignStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Tune the adapter of ``inputs['finetune']`` on the configured pairs.

    Raises:
        ConfigError: A line of the pairs is wrong, or too long.
        EnvironmentMismatch: A GPU is asked for and there is none.
        StageFailed: The loss stopped being a number, or the chosen answers gained nothing.
    """
    train = read_rows(inputs["data"] / artifact.TRAIN)
    held = inputs["data"] / artifact.HELD_OUT
    held_out = read_rows(held) if held.is_file() and held.read_bytes().strip() else []
    changes = Changes()
    pairs = load_pairs(cfg.dpo, train, held_out, changes)
    if changes.unread:
        ctx.log.warning("align: %s", changes.told())
    job = dpo.Job(
        base=inputs["base"],
        adapter=inputs["finetune"],
        pairs=pairs,
        method=cfg.method,
        lora=cfg.lora,
        dpo=cfg.dpo,
        launch=cfg.launch,
        seed=cfg.seed,
        folder=out,
        scratch=ctx.scratch_dir,
    )
    done = dpo.align(job, loss_report(ctx.progress))
    log = {key: value for key, value in asdict(done).items() if key not in OF_THIS_RUN}
    write_text(out / "align_log.json", json.dumps(log, indent=1, sort_keys=True) + "\n")
    return {
        "pairs": len(pairs),
        **changes.notes(),
        "steps": done.steps,
        "first_loss": done.loss[0][1],
        "last_loss": done.loss[-1][1],
        "last_margin": done.margin[-1][1],
        "last_accuracy": done.accuracy[-1][1],
        "seconds": done.seconds,
        "resumed_at": done.resumed_at,
    }


def load_pairs(
    conf: DpoConf, train: list[Row], held_out: list[Row], changes: Changes | None = None
) -> list[Pair]:
    """Return the checked pairs of a configuration; cheap enough to be asked before any work.

    Raises:
        ConfigError: Holds one problem per bad line.
    """
    assert conf.path is not None
    questions = {asked(text) for row in held_out for text in row.questions}
    return read_pairs(
        resolve_data(conf.path), system=train[0].system, held_out=questions, changes=changes
    )
