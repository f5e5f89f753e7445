"""Own trl's SFTTrainer: its arguments, batches and callbacks. Know no checkpoint, save nothing.

trl gets token ids and labels and prepares nothing itself, so neither its truncation, its template
patching nor its loss masks can change what is learnt without a word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics.errors import ConfigError, StageFailed
from webslm.schema import LaunchConf, LoraConf, Sharding
from webslm.training import low_rank, methods, rounded_weights, stopping
from webslm.training.answers import Answers
from webslm.training.frozen_layers import FrozenLayers
from webslm.training.order import BucketSampler
from webslm.training.rounded_weights import Rounding
from webslm.training.snapshots import Snapshots, callback
from webslm.training.stopping import HeldOut
from webslm.training.turns import EncodedRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Report = Callable[[int, int, float], None]
"""Called after an optimiser step with (steps done, steps in all, mean loss of the step)."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How the trainer is set up."""

    lora: LoraConf
    launch: LaunchConf
    seed: int
    device: str
    """cpu or cuda."""
    precision: str
    """What a step computes in: float32, bfloat16 or float16."""
    folder: Path
    peft_config: Any
    """peft's configuration of a fresh adapter; None: all weights learn."""
    first_learning: int = 0
    """The lowest layer that learns, from 0."""
    rounding: Rounding | None = None
    """The weight format that the training computes in; None: weights as they are."""
    note: Callable[[str], None] = lambda _: None
    """Is told what is computed before the first step."""


def trainer(
    model: PreTrainedModel,
    tokenizer: Any,
    encoded: Sequence[EncodedRow],
    setup: Setup,
    report: Report,
    snapshots: Snapshots | None,
    held_out: HeldOut | None = None,
) -> Any:
    """Return a trl trainer that is ready to tune ``model``.

    Raises:
        ConfigError: The scheduler is unknown.
    """
    from transformers import PrinterCallback

    lengths = [len(row.input_ids) for row in encoded]
    sampler = BucketSampler(lengths, setup.lora.batch_size, setup.seed)
    early = [] if held_out is None else [_early(held_out, len(encoded), setup.lora)]
    folder = setup.folder if snapshots is None else snapshots.work
    to_round = [] if setup.rounding is None else rounded_weights.weights(model, setup.rounding)
    made = _bucketed(sampler, setup.launch.processes)(
        model=model,
        args=on_one_gpu(_config(setup, folder)),
        train_dataset=_dataset(encoded),
        processing_class=tokenizer,
        peft_config=setup.peft_config,
        callbacks=callbacks(sampler, report, snapshots, "finetune", early),
    )
    made.remove_callback(PrinterCallback)
    if setup.rounding is not None:
        rounded_weights.apply(made.model, setup.rounding, to_round)
    elif setup.launch.sharding is Sharding.none:
        low_rank.quicken(made.model)
    methods.keep_learning_in_float32(made.model)
    if setup.device == "cpu":
        made.answers = _answers(made.model, setup, encoded)
    return made


def _bucketed(sampler: BucketSampler, processes: int) -> Any:
    """Return the trainer's class; an ``answers`` that is set computes the loss in its place."""
    from trl import SFTTrainer

    class BucketedTrainer(SFTTrainer):  # type: ignore[misc]
        """An SFTTrainer whose batches hold rows of about one length, to pad little."""

        answers: Answers | None = None

        def _get_train_sampler(
            self,
            train_dataset: Any = None,  # noqa: ARG002  trl's signature; the rows are known
        ) -> Any:
            return sampler

        def compute_loss(
            self,
            model: Any,
            inputs: dict[str, Any],
            return_outputs: bool = False,  # noqa: FBT001,FBT002  the trainer's signature
            num_items_in_batch: Any = None,
        ) -> Any:
            if self.answers is None:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            loss, count = self.answers.loss(model, inputs)
            if num_items_in_batch is None:
                return loss / count
            # Counted over all processes, whose gradients are then averaged.
            return loss * (processes / num_items_in_batch)

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Write none: a checkpoint is for nobody to read."""

    return BucketedTrainer


def _early(held_out: HeldOut, rows: int, lora: LoraConf) -> Any:
    epoch_batches = -(-rows // lora.batch_size)
    return stopping.callback(held_out, -(-epoch_batches // lora.gradient_accumulation_steps))


def _config(setup: Setup, folder: Path) -> Any:
    from trl import SFTConfig

    return SFTConfig(
        **arguments(setup, folder),
        # The rows are measured already, and a trainer that cuts must not be.
        max_length=None,
        neftune_noise_alpha=setup.lora.neftune_alpha,
        padding_free=setup.lora.packing,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _dataset(encoded: Sequence[EncodedRow]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [row.input_ids for row in encoded],
            "labels": [row.labels for row in encoded],
        }
    )


def _answers(model: Any, setup: Setup, encoded: Sequence[EncodedRow]) -> Answers:
    """Return how the loss of a batch is computed on a CPU."""
    lora = setup.lora
    frozen = None
    # Noise on the embeddings and rows behind each other are other states every time.
    if setup.first_learning and lora.neftune_alpha is None and not lora.packing:
        frozen = FrozenLayers(model, setup.first_learning)
        setup.note(
            f"layers 1 to {setup.first_learning} stay: computed once for {len(encoded)} rows"
        )
        frozen.fill([row.input_ids for row in encoded])
    shares = not lora.packing and not lora.gradient_checkpointing and setup.launch.processes == 1
    return Answers(model, frozen, shares=shares)


def batch_share(lora: LoraConf, processes: int) -> tuple[int, int]:
    """Return (rows, accumulation steps) of one process, so that all make the configured batch."""
    if lora.gradient_accumulation_steps % processes == 0:
        return lora.batch_size, lora.gradient_accumulation_steps // processes
    return lora.batch_size // processes, lora.gradient_accumulation_steps


def _together(launch: LaunchConf, device: str) -> dict[str, Any]:
    """Return the arguments that only several processes need."""
    if launch.processes == 1:
        return {}
    if launch.sharding is Sharding.fsdp:
        return {"fsdp": True, "fsdp_config": {"version": 2, "state_dict_type": "FULL_STATE_DICT"}}
    backend = "gloo" if device == "cpu" else "nccl"
    return {"ddp_backend": backend, "ddp_find_unused_parameters": False}


def _check_scheduler(name: str) -> None:
    from transformers import SchedulerType

    names = [kind.value for kind in SchedulerType]
    if name not in names:
        raise ConfigError(
            f"lora.lr_scheduler: {name!r} is not known", hint=f"one of {', '.join(names)}"
        )


def arguments(setup: Setup, folder: Path) -> dict[str, Any]:
    """Translate the configuration; what is left out keeps trl's default on purpose.

    Raises:
        ConfigError: The scheduler is unknown.
    """
    lora = setup.lora
    _check_scheduler(lora.lr_scheduler)
    rows, accumulation = batch_share(lora, setup.launch.processes)
    return {
        **_together(setup.launch, setup.device),
        "output_dir": str(folder),
        "num_train_epochs": lora.epochs,
        "max_steps": -1 if lora.max_steps is None else lora.max_steps,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": lora.learning_rate,
        "lr_scheduler_type": lora.lr_scheduler,
        "warmup_steps": lora.warmup_ratio,
        "weight_decay": lora.weight_decay,
        "gradient_checkpointing": lora.gradient_checkpointing,
        "seed": setup.seed,
        "data_seed": setup.seed,
        "use_cpu": setup.device == "cpu",
        "bf16": setup.precision == "bfloat16",
        "fp16": setup.precision == "float16",
        "logging_steps": 1,
        # Off, or a loss that is not a number would be logged as the mean of those before it.
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
    }


def on_one_gpu(args: Any) -> Any:
    """Keep a process to one GPU; more would make its batches as many times larger, unasked."""
    args._n_gpu = min(args.n_gpu, 1)
    return args


def callbacks(
    sampler: BucketSampler,
    report: Report,
    snapshots: Snapshots | None,
    stage: str,
    early: Sequence[Any] = (),
) -> list[Any]:
    """Return what watches a training: the order of rows, its loss, its end, its checkpoints."""
    kept = [] if snapshots is None else [callback(snapshots)]
    return [_epochs(sampler), _watcher(report, stage), *early, *kept]


def _epochs(sampler: BucketSampler) -> Any:
    from transformers import TrainerCallback

    class Epochs(TrainerCallback):  # type: ignore[misc]
        """Tells the sampler whose order comes next, also in a training that goes on."""

        def on_epoch_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            # Whole at the start of an epoch but for rounding; in the middle when it goes on.
            sampler.epoch = int(float(state.epoch or 0) + 1e-6)

    return Epochs()


def _watcher(report: Report, stage: str) -> Any:
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        """Reports every optimiser step and ends a training whose loss is no number."""

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise StageFailed(
                    f"{stage}: the loss is {loss} at step {state.global_step}",
                    hint="lower the learning rate or raise the warm-up",
                )
            report(state.global_step, state.max_steps, loss)

    return Watcher()
