"""Own the fine-tune: check base, rows and targets, train through ``sft``, save what was learnt."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.adapters import methods, sft
from webslm.adapters.sft import Report
from webslm.adapters.snapshots import Snapshots
from webslm.adapters.torch_mode import quiet, reproducible
from webslm.adapters.turns import Messages, encode_all, sample, stop_ids
from webslm.fs import write_text
from webslm.schema import Finetune, LaunchConf, LoraConf


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is trained and how."""

    base: Path
    rows: Sequence[Messages]
    method: Finetune = Finetune.lora
    lora: LoraConf
    launch: LaunchConf
    """With several processes this is one of those that torchrun started; the first one writes."""
    seed: int
    folder: Path
    """Where the adapter goes, or the whole model."""
    scratch: Path | None = None
    """Where checkpoints go that a killed training goes on from; None: nowhere."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a fine-tune did."""

    steps: int
    """Optimiser steps that really ran."""
    epochs: float
    tokens: int
    """Tokens of all rows, once."""
    trained_tokens: int
    """Tokens of all rows that carry loss, once."""
    loss: list[list[float]]
    """[step, mean nats per trained token] of every optimiser step."""
    lr: list[list[float]]
    """[step, learning rate] of every optimiser step."""
    seconds: float
    trainable_parameters: int
    threads: int
    device: str
    mask_sample: list[dict[str, Any]]
    """The longest row as runs of text with whether they carry loss."""
    resumed_at: int = 0
    """Steps that a killed training had done before this one went on."""


def finetune(job: Job, report: Report) -> Training:
    """Tune ``job.base`` on ``job.rows`` and write what was learnt to ``job.folder``.

    Raises:
        ConfigError: A row is too long, a target matches no module, the scheduler is unknown.
        EnvironmentMismatch: A GPU is asked for and there is none.
        StageFailed: No stop token inside the loss, or the loss stopped being a number.
    """
    lora = job.lora
    with quiet(), reproducible(job.seed) as threads, _snapshots(job) as snapshots:
        from transformers import AutoTokenizer

        device = methods.find_device(lora.device)
        tokenizer: Any = AutoTokenizer.from_pretrained(job.base, local_files_only=True)
        encoded = encode_all(
            tokenizer,
            job.rows,
            stops=stop_ids(job.base, tokenizer),
            loss=lora.loss,
            max_length=lora.max_length,
        )
        model = methods.load(job.base, device, job.method)
        peft_config = methods.peft_config(lora, job.method)
        if peft_config is not None:
            methods.check_targets(model, lora.target_modules)
        started = time.monotonic()
        trainer = sft.trainer(
            model,
            tokenizer,
            encoded,
            sft.Setup(
                lora=lora,
                launch=job.launch,
                seed=job.seed,
                device=device,
                folder=job.folder,
                peft_config=peft_config,
            ),
            report,
            snapshots,
        )
        last = None if snapshots is None else snapshots.newest()
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
        seconds = time.monotonic() - started
        _save(trainer, job.folder)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    return Training(
        steps=trainer.state.global_step,
        epochs=round(float(trainer.state.epoch or 0.0), 3),
        tokens=sum(len(row.input_ids) for row in encoded),
        trained_tokens=sum(row.trained for row in encoded),
        loss=[[entry["step"], round(entry["loss"], 4)] for entry in history],
        lr=[[entry["step"], float(f"{entry['learning_rate']:.4g}")] for entry in history],
        seconds=round(seconds, 1),
        trainable_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        threads=threads,
        device=device,
        mask_sample=sample(tokenizer, max(encoded, key=lambda row: len(row.input_ids))),
        resumed_at=0 if last is None else int(last.name.rpartition("-")[2]),
    )


@contextlib.contextmanager
def _snapshots(job: Job) -> Iterator[Snapshots | None]:
    every = job.launch.checkpoint_seconds
    # Several processes would have to agree on the moment and each keep its random state.
    if job.scratch is None or every is None or job.launch.processes > 1:
        yield None
        return
    kept = Snapshots(job.scratch, every)
    try:
        yield kept
    finally:
        kept.close()


def _save(trainer: Any, folder: Path) -> None:
    """Write what was learnt so that its bytes hold no path, order of a set or version card."""
    # Of a sharded model every process holds a part: all gather, the first one writes.
    gathered = (
        {"state_dict": trainer.accelerator.get_state_dict(trainer.model_wrapped)}
        if trainer.is_fsdp_enabled
        else {}
    )
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not hasattr(model, "peft_config"):
        model.save_pretrained(folder)
        return
    model.save_pretrained(folder, save_embedding_layers=False, **gathered)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    write_text(file, json.dumps(config, indent=2, sort_keys=True) + "\n")
