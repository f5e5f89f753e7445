"""``finetune``: rows and a base checkpoint to an adapter, or to all weights tuned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files
from webslm.basics.fs import write_text
from webslm.basics.paths import resolve_data
from webslm.basics.stage import Context, Metrics, loss_report
from webslm.model.architectures import architecture
from webslm.model.weights.format import Format
from webslm.model.weights.rounding import rounded
from webslm.rows import artifact
from webslm.rows.roles import Messages
from webslm.schema import Finetune, FinetuneStageConf
from webslm.training import adoption, methods, processes, trainer
from webslm.training.rounded_weights import Rounding

OF_THIS_RUN = ("seconds", "resumed_at")
"""What says how this run went, not what was learnt."""


def run(cfg: FinetuneStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Tune the base of ``inputs['base']`` on ``inputs['data']/train.jsonl``, or take an adapter.

    Raises:
        ConfigError: A row is too long, a target matches no module, the scheduler is unknown, an
            adapter trained elsewhere does not fit.
        EnvironmentMismatch: A GPU is asked for and there is none.
        StageFailed: No stop token inside the loss, the loss stopped being a number, or one of
            several training processes was lost.
    """
    if cfg.method is Finetune.adapter:
        return _adopt(cfg, inputs["base"], out)
    rows = artifact.learnt_rows(inputs["data"])
    if cfg.launch.processes == 1:
        job = trainer.Job(
            base=inputs["base"],
            rows=rows,
            method=cfg.method,
            lora=cfg.lora,
            launch=cfg.launch,
            seed=cfg.seed,
            folder=out,
            scratch=ctx.scratch_dir,
            rounding=_rounding(cfg),
            held_out=_held_out(cfg, inputs["data"]),
            note=ctx.progress.note,
        )
        done = trainer.finetune(job, loss_report(ctx.progress))
    else:
        done = processes.finetune(cfg, base=inputs["base"], data=inputs["data"], out=out, ctx=ctx)
    # No time enters the file: equal inputs give equal bytes, killed in between or not.
    _write_log(out, {k: value for k, value in asdict(done).items() if k not in OF_THIS_RUN})
    return {
        "method": cfg.method.value,
        **({} if done.planned is None else {"budget": done.planned}),
        **({"kept_step": done.kept_step} if done.held_out else {}),
        "rows": len(rows),
        "augmented": done.augmented,
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
        "precision": done.precision,
    }


def check_before(cfg: FinetuneStageConf) -> None:
    """Check what needs neither base nor rows, before any work.

    Raises:
        ConfigError: The folder of an adapter trained elsewhere holds none.
    """
    if cfg.adapter.path is not None:
        adoption.read_config(resolve_data(cfg.adapter.path))


def check_machine(cfg: FinetuneStageConf) -> None:
    """Check that this machine can train, before any work.

    Raises:
        EnvironmentMismatch: A GPU or a wheel is needed and not there.
    """
    if cfg.method is not Finetune.adapter:
        methods.check_machine(cfg.method, cfg.lora)


def _adopt(cfg: FinetuneStageConf, base: Path, out: Path) -> Metrics:
    assert cfg.adapter.path is not None
    found = asdict(adoption.adopt(resolve_data(cfg.adapter.path), base, out))
    _write_log(out, {"adopted": found, "steps": 0, "loss": [], "lr": [], "mask_sample": []})
    return {**found, "method": cfg.method.value, "steps": 0}


def _held_out(cfg: FinetuneStageConf, data: Path) -> list[Messages]:
    if not cfg.lora.early_stopping_patience:
        return []
    return artifact.read_messages(data / artifact.HELD_OUT)


def _rounding(cfg: FinetuneStageConf) -> Rounding | None:
    if cfg.quant is None or cfg.shape is None:
        return None
    quant = cfg.quant
    parameters = architecture(cfg.shape.model_type).parameters(cfg.shape)
    return Rounding(
        names=[name for p in parameters if Format(quant).rounds(p) for name in p.sources],
        rounded=lambda weight: rounded(weight, quant),
    )


def _write_log(out: Path, log: Mapping[str, Any]) -> None:
    write_text(out / artifact_files.TRAIN_LOG, json.dumps(log, indent=1, sort_keys=True) + "\n")
