"""Own the fine-tune: check base, rows and targets, train through ``sft``, save what was learnt."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webslm.basics import model_files
from webslm.basics.errors import ConfigError
from webslm.basics.fs import write_text
from webslm.rows.roles import Messages
from webslm.schema import Finetune, LaunchConf, LoraConf
from webslm.training import budget, heap, methods, sft, stopping, training_rows
from webslm.training.loading import load_tokenizer
from webslm.training.order import batches
from webslm.training.rounded_weights import Rounding
from webslm.training.sft import Report
from webslm.training.snapshots import Snapshots
from webslm.training.stopping import HeldOut
from webslm.training.torch_mode import quiet, reproducible
from webslm.training.turns import EncodedRow, sample


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
    rounding: Rounding | None = None
    """The weight format that the training computes in; None: weights as they are."""
    held_out: Sequence[Messages] = ()
    """Rows whose loss ends the training, where ``lora`` asks for that."""
    note: Callable[[str], None] = lambda _: None
    """Is told what a budget leaves out."""


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
    augmented: int
    """Rows that augmentation made."""
    loss: list[list[float]]
    """[step, mean nats per trained token] of every optimiser step."""
    lr: list[list[float]]
    """[step, learning rate] of every optimiser step."""
    seconds: float
    trainable_parameters: int
    threads: int
    device: str
    precision: str
    """What a step computed in."""
    mask_sample: list[dict[str, Any]]
    """The longest row as runs of text with whether they carry loss."""
    resumed_at: int = 0
    """Steps that a killed training had done before this one went on."""
    held_out: list[list[float]] = field(default_factory=list)
    """[step, mean nats per trained token of held-out rows] after every epoch, where looked at."""
    kept_step: int = 0
    """Step of the weights that were kept."""
    planned: str | None = None
    """What a budget fits and leaves out."""


def finetune(job: Job, report: Report) -> Training:
    """Tune ``job.base`` on ``job.rows`` and write what was learnt to ``job.folder``.

    Raises:
        ConfigError: A row is too long, a target matches no module, the scheduler is unknown.
        EnvironmentMismatch: A GPU is asked for and there is none.
        StageFailed: No stop token inside the loss, or the loss stopped being a number.
    """
    with (
        quiet(),
        heap.kept(),
        reproducible(job.seed) as threads,
        kept_snapshots(job.launch, job.scratch) as snapshots,
    ):
        made = _prepared(job, report, snapshots)
        last = None if snapshots is None else snapshots.newest()
        watched = made.held_out
        if last is not None and watched is not None and (last / stopping.CURVE).is_file():
            watched.load(last, made.device)
        started = time.monotonic()
        made.trainer.train(resume_from_checkpoint=None if last is None else str(last))
        seconds = time.monotonic() - started
        if watched is not None and watched.curve:
            watched.restore(made.trainer.model)
        save(made.trainer, job.folder)
    return _account(made, threads=threads, seconds=seconds, last=last)


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A fine-tune that is ready to start."""

    trainer: Any
    tokenizer: Any
    encoded: Sequence[EncodedRow]
    copies: int
    """Rows of ``encoded`` that augmentation made."""
    device: str
    precision: str
    held_out: HeldOut | None
    planned: str | None


def _prepared(job: Job, report: Report, snapshots: Snapshots | None) -> _Prepared:
    lora = job.lora
    device = methods.find_device(lora.device)
    tokenizer = load_tokenizer(job.base)
    given, copies = training_rows.encoded(tokenizer, job.base, job.rows, lora, job.seed)
    encoded = [*given, *copies]
    precision = methods.find_precision(lora.precision, device)
    model = methods.load(job.base, device, job.method, precision, job.launch.sharding)
    peft_config = methods.peft_config(lora, job.method, model.config.num_hidden_layers)
    if peft_config is not None:
        methods.check_targets(model, lora.target_modules)
    setup = sft.Setup(
        lora=lora,
        launch=job.launch,
        seed=job.seed,
        device=device,
        precision=precision,
        folder=job.folder,
        peft_config=peft_config,
        first_learning=methods.first_learning(lora, model.config.num_hidden_layers),
        rounding=job.rounding,
        note=job.note,
    )
    held_out = _watched(job, tokenizer)
    trainer = sft.trainer(model, tokenizer, encoded, setup, report, snapshots, held_out)
    return _Prepared(
        trainer=trainer,
        tokenizer=tokenizer,
        encoded=encoded,
        copies=len(copies),
        device=device,
        precision=precision,
        held_out=held_out,
        planned=_planned(job, trainer, encoded),
    )


def _account(made: _Prepared, *, threads: int, seconds: float, last: Path | None) -> Training:
    """Return what a fine-tune did; ``last`` is the checkpoint from which it went on."""
    state, encoded, watched = made.trainer.state, made.encoded, made.held_out
    history = [entry for entry in state.log_history if "loss" in entry]
    learning = (p.numel() for p in made.trainer.model.parameters() if p.requires_grad)
    return Training(
        steps=state.global_step,
        epochs=round(float(state.epoch or 0.0), 3),
        tokens=sum(len(row.input_ids) for row in encoded),
        trained_tokens=sum(row.trained for row in encoded),
        augmented=made.copies,
        loss=[[entry["step"], round(entry["loss"], 4)] for entry in history],
        lr=[[entry["step"], float(f"{entry['learning_rate']:.4g}")] for entry in history],
        seconds=round(seconds, 1),
        trainable_parameters=sum(learning),
        threads=threads,
        device=made.device,
        precision=made.precision,
        mask_sample=sample(made.tokenizer, max(encoded, key=lambda row: len(row.input_ids))),
        resumed_at=0 if last is None else int(last.name.rpartition("-")[2]),
        held_out=[] if watched is None else watched.curve,
        kept_step=watched.best_step if watched and watched.curve else state.global_step,
        planned=made.planned,
    )


def _watched(job: Job, tokenizer: Any) -> HeldOut | None:
    patience = job.lora.early_stopping_patience
    if patience == 0:
        return None
    if not job.held_out:
        raise ConfigError(
            "lora.early_stopping_patience: there are no held-out rows to stop by",
            hint="data.held_out_fraction=0.1, or data.held_out_path=FILE",
        )
    rows = training_rows.as_given(tokenizer, job.base, job.held_out, job.lora)
    return HeldOut(rows, patience=patience, batch_size=job.lora.batch_size)


def _planned(job: Job, trainer: Any, encoded: Sequence[EncodedRow]) -> str | None:
    """Limit the steps of a trainer to what a budget fits, if there is one; return the sentence."""
    lora = job.lora
    if lora.budget_minutes is None:
        return None
    minutes = lora.budget_minutes
    lengths = [len(row.input_ids) for row in encoded]
    epoch_batches = -(-len(lengths) // lora.batch_size)
    epoch_steps = -(-epoch_batches // lora.gradient_accumulation_steps)

    def batch(indices: Sequence[int]) -> dict[str, Any]:
        made: dict[str, Any] = trainer.data_collator([trainer.train_dataset[i] for i in indices])
        return made

    def loss(inputs: dict[str, Any]) -> Any:
        with trainer.accelerator.autocast():
            return trainer.compute_loss(trainer.model, inputs)

    def make() -> budget.Plan:
        return budget.plan(
            batches(lengths, lora.batch_size, job.seed),
            budget.stopwatch(trainer.model, batch, loss, lengths, lora.batch_size),
            rows=len(lengths),
            accumulation=lora.gradient_accumulation_steps,
            epoch_batches=epoch_batches,
            steps=math.ceil(lora.epochs * epoch_steps),
            minutes=minutes,
        )

    found = budget.kept(job.scratch, make)
    trainer.args.max_steps = found.steps
    job.note(str(found))
    return str(found)


@contextlib.contextmanager
def kept_snapshots(launch: LaunchConf, scratch: Path | None) -> Iterator[Snapshots | None]:
    """Give the checkpoints of a training; None where none are kept."""
    every = launch.checkpoint_seconds
    # Several processes would have to agree on the moment and each keep its random state.
    if scratch is None or every is None or launch.processes > 1:
        yield None
        return
    kept = Snapshots(scratch, every)
    try:
        yield kept
    finally:
        kept.close()


def save(trainer: Any, folder: Path, adapter: str = "default") -> None:
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
    model.save_pretrained(
        folder, save_embedding_layers=False, selected_adapters=[adapter], **gathered
    )
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / model_files.ADAPTER_CONFIG
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    write_text(file, json.dumps(config, indent=2, sort_keys=True) + "\n")
