"""``finetune``: rows and a base checkpoint to a LoRA adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from webslm.adapters import processes, trainer, turns
from webslm.fs import write_text
from webslm.schema import FinetuneStageConf
from webslm.stage import Context, Metrics, loss_report

OF_THIS_RUN = ("seconds", "resumed_at")
"""What says how this run went, not what was learnt."""


def run(cfg: FinetuneStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Tune the base of ``inputs['base']`` on ``inputs['data']/train.jsonl``.

    Raises:
        ConfigError: A row is too long, a target matches no module, the scheduler is unknown.
        EnvironmentMismatch: A GPU is asked for and there is none.
        StageFailed: No stop token inside the loss, the loss stopped being a number, or one of
            several training processes was lost.
    """
    path = inputs["data"] / "train.jsonl"
    rows = turns.read_rows(path)
    report = loss_report(ctx.progress)
    if cfg.launch.processes == 1:
        job = trainer.Job(
            base=inputs["base"],
            rows=rows,
            lora=cfg.lora,
            launch=cfg.launch,
            seed=cfg.seed,
            folder=out,
            scratch=ctx.scratch_dir,
        )
        done = trainer.finetune(job, report)
    else:
        done = processes.finetune(cfg, base=inputs["base"], rows=path, out=out, ctx=ctx)
    # No time enters the file: equal inputs give equal bytes, killed in between or not.
    log = {key: value for key, value in asdict(done).items() if key not in OF_THIS_RUN}
    write_text(out / "train_log.json", json.dumps(log, indent=1, sort_keys=True) + "\n")
    return {
        "rows": len(rows),
        "steps": done.steps,
        "tokens": done.tokens,
        "trained_tokens": done.trained_tokens,
        "first_loss": done.loss[0][1],
        "last_loss": done.loss[-1][1],
        "trainable_parameters": done.trainable_parameters,
        "seconds": done.seconds,
        "resumed_at": done.resumed_at,
        "threads": done.threads,
        "device": done.device,
    }
