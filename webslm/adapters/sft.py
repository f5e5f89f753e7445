"""Own trl's SFTTrainer: its arguments, batches and callbacks. Know no checkpoint, save nothing.

trl gets token ids and labels and prepares nothing itself, so neither its truncation, its template
patching nor its loss masks can change what is learnt without a word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.adapters.snapshots import Snapshots, callback
from webslm.adapters.turns import Row
from webslm.errors import ConfigError, StageFailed
from webslm.schema import LaunchConf, LoraConf, Sharding

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Report = Callable[[int, int, float], None]
"""Called after an optimiser step with (steps done, steps in all, mean loss of the step)."""

BUCKET = 16
"""Rows whose lengths fall into one bucket of so many tokens count as equally long."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How the trainer is set up."""

    lora: LoraConf
    launch: LaunchConf
    seed: int
    device: str
    """cpu or cuda."""
    folder: Path
    peft_config: Any
    """peft's configuration of a fresh adapter; None: all weights learn."""


def trainer(
    model: PreTrainedModel,
    tokenizer: Any,
    encoded: Sequence[Row],
    setup: Setup,
    report: Report,
    snapshots: Snapshots | None,
) -> Any:
    """Return a trl trainer that is ready to tune ``model``.

    Raises:
        ConfigError: The scheduler is unknown.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTTrainer

    lengths = [len(row.input_ids) for row in encoded]
    sampler = BucketSampler(lengths, setup.lora.batch_size, setup.seed)

    class BucketedTrainer(SFTTrainer):  # type: ignore[misc]
        """An SFTTrainer whose batches hold rows of about one length, to pad little."""

        def _get_train_sampler(
            self,
            train_dataset: Any = None,  # noqa: ARG002  trl's signature; the rows are known
        ) -> Any:
            return sampler

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Write none: a checkpoint is for nobody to read."""

    folder = setup.folder if snapshots is None else snapshots.work
    made = BucketedTrainer(
        model=model,
        args=_arguments(setup.lora, setup.seed, setup.device, folder, setup.launch),
        train_dataset=Dataset.from_dict(
            {
                "input_ids": [row.input_ids for row in encoded],
                "labels": [row.labels for row in encoded],
            }
        ),
        processing_class=tokenizer,
        peft_config=setup.peft_config,
        callbacks=[
            _epochs(sampler),
            _watcher(report),
            *([] if snapshots is None else [callback(snapshots)]),
        ],
    )
    made.remove_callback(PrinterCallback)
    for weight in made.model.parameters():
        if weight.requires_grad:
            # trl turns the adapter of a 4-bit base to bfloat16, whose steps swallow small updates.
            weight.data = weight.data.float()
    return made


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


def _arguments(lora: LoraConf, seed: int, device: str, folder: Path, launch: LaunchConf) -> Any:
    """Translate the configuration; what is left out keeps trl's default on purpose."""
    from transformers import SchedulerType
    from trl import SFTConfig

    names = [kind.value for kind in SchedulerType]
    if lora.lr_scheduler not in names:
        raise ConfigError(
            f"lora.lr_scheduler: {lora.lr_scheduler!r} is not known",
            hint=f"one of {', '.join(names)}",
        )
    rows, accumulation = batch_share(lora, launch.processes)
    return SFTConfig(
        **_together(launch, device),
        output_dir=str(folder),
        num_train_epochs=lora.epochs,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=accumulation,
        learning_rate=lora.learning_rate,
        lr_scheduler_type=lora.lr_scheduler,
        warmup_steps=lora.warmup_ratio,
        weight_decay=lora.weight_decay,
        max_length=lora.max_length,
        gradient_checkpointing=lora.gradient_checkpointing,
        seed=seed,
        data_seed=seed,
        use_cpu=device == "cpu",
        bf16=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=1,
        # Off, or a loss that is not a number would be logged as the mean of those before it.
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )


class BucketSampler:
    """Row indices in the order of training: batches of about equal length, shuffled every epoch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0
        """Whose order comes next; seed and epoch alone decide it, so a resumed epoch repeats it."""

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        import torch

        generator = torch.Generator().manual_seed(self._seed)
        for _ in range(self.epoch):
            list(self._order(generator))
        return self._order(generator)

    def _order(self, generator: Any) -> Iterator[int]:
        import torch

        order = torch.randperm(len(self._lengths), generator=generator).tolist()
        order.sort(key=lambda index: self._lengths[index] // BUCKET)
        size = self._batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        # A short batch stays last: the loader cuts this stream into equal pieces.
        whole, rest = (batches, []) if len(batches[-1]) == size else (batches[:-1], batches[-1])
        for index in torch.randperm(len(whole), generator=generator).tolist():
            yield from whole[index]
        yield from rest


def _epochs(sampler: BucketSampler) -> Any:
    from transformers import TrainerCallback

    class Epochs(TrainerCallback):  # type: ignore[misc]
        """Tells the sampler whose order comes next, also in a training that goes on."""

        def on_epoch_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            # Whole at the start of an epoch but for rounding; in the middle when it goes on.
            sampler.epoch = int(float(state.epoch or 0) + 1e-6)

    return Epochs()


def _watcher(report: Report) -> Any:
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        """Reports every optimiser step and ends a training whose loss is no number."""

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise StageFailed(
                    f"finetune: the loss is {loss} at step {state.global_step}",
                    hint="lower lora.learning_rate or raise lora.warmup_ratio",
                )
            report(state.global_step, state.max_steps, loss)

    return Watcher()
