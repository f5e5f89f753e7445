"""Own preference tuning: an adapter trained on with trl's DPOTrainer. Choose no pairs.

trl gets token ids that ``turns`` proved: the prompt is what the page sends, both answers end with
the stop token. The reference is the model as it was before (arXiv:2305.18290).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError, StageFailed
from webslm.model.prompts.ends import stop_ids
from webslm.rows.pairs import Pair
from webslm.schema import DpoConf, Finetune, LaunchConf, LoraConf
from webslm.training import heap, low_rank, methods, sft, trainer
from webslm.training.loading import load_tokenizer
from webslm.training.order import BucketSampler
from webslm.training.sft import Report
from webslm.training.snapshots import Snapshots
from webslm.training.torch_mode import quiet, reproducible
from webslm.training.turns import encode_last


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is tuned and how."""

    base: Path
    adapter: Path
    """The fine-tune's adapter, which learns on."""
    pairs: Sequence[Pair]
    method: Finetune
    lora: LoraConf
    dpo: DpoConf
    launch: LaunchConf
    seed: int
    folder: Path
    scratch: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """What a preference tuning did."""

    steps: int
    loss: list[list[float]]
    """[step, mean loss of its pairs]; ln 2 where the model prefers nothing yet."""
    margin: list[list[float]]
    """[step, mean reward of chosen less rejected answers], beta times log ratios to the start."""
    accuracy: list[list[float]]
    """[step, share of its pairs whose chosen answer gained more]."""
    seconds: float
    resumed_at: int


def align(job: Job, report: Report) -> Alignment:
    """Tune on pairs and write the adapter to ``job.folder``.

    Raises:
        ConfigError: A pair is too long, or its text holds a stop token.
        EnvironmentMismatch: A GPU is asked for and there is none.
        StageFailed: The loss stopped being a number, or the chosen answers gained nothing.
    """
    with (
        quiet(),
        heap.kept(),
        reproducible(job.seed),
        trainer.kept_snapshots(job.launch, job.scratch) as snapshots,
    ):
        made = _trainer(job, report, snapshots)
        last = None if snapshots is None else snapshots.newest()
        started = time.monotonic()
        made.train(resume_from_checkpoint=None if last is None else str(last))
        seconds = time.monotonic() - started
        trainer.save(made, job.folder, adapter="default")
    history = [entry for entry in made.state.log_history if "loss" in entry]

    def curve(name: str) -> list[list[float]]:
        return [[entry["step"], round(entry[name], 4)] for entry in history]

    done = Alignment(
        steps=made.state.global_step,
        loss=curve("loss"),
        margin=curve("rewards/margins"),
        accuracy=curve("rewards/accuracies"),
        seconds=round(seconds, 1),
        resumed_at=0 if last is None else int(last.name.rpartition("-")[2]),
    )
    tail = done.margin[-max(1, len(done.margin) // 3) :]
    if sum(margin for _, margin in tail) <= 0:
        raise StageFailed(
            "align: the chosen answers gained nothing over the rejected ones",
            hint="raise dpo.learning_rate or dpo.epochs, or look at the pairs",
        )
    return done


def _trainer(job: Job, report: Report, snapshots: Snapshots | None) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import DPOConfig

    device = methods.find_device(job.lora.device)
    precision = methods.find_precision(job.lora.precision, device)
    tokenizer = load_tokenizer(job.base)
    rows = _encoded(job, tokenizer)
    lengths = [len(row["prompt_ids"]) + len(row["chosen_ids"]) for row in rows]
    sampler = BucketSampler(lengths, job.dpo.batch_size, job.seed)
    setup = sft.Setup(
        lora=_as_lora(job),
        launch=job.launch,
        seed=job.seed,
        device=device,
        precision=precision,
        folder=job.folder,
        peft_config=None,
    )
    folder = job.folder if snapshots is None else snapshots.work
    made = _pair_trainer(sampler)(
        model=_model(job, device, precision),
        args=sft.on_one_gpu(
            DPOConfig(**sft.arguments(setup, folder), beta=job.dpo.beta, max_length=None)
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=sft.callbacks(sampler, report, snapshots, "align"),
    )
    made.remove_callback(PrinterCallback)
    methods.keep_learning_in_float32(made.model)
    low_rank.quicken(made.model)
    return made


def _pair_trainer(sampler: BucketSampler) -> Any:
    from trl import DPOTrainer

    class PairTrainer(DPOTrainer):  # type: ignore[misc]
        """A DPOTrainer that takes pairs as they are encoded, in batches of about one length."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:  # noqa: ARG002  trl's own
            return sampler

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Write none: a checkpoint is for nobody to read."""

    return PairTrainer


def _model(job: Job, device: str, precision: str) -> Any:
    from peft import PeftModel

    model = methods.load(job.base, device, job.method, precision)
    return PeftModel.from_pretrained(model, str(job.adapter), is_trainable=True)


def _as_lora(job: Job) -> LoraConf:
    """Return the settings that fine-tune and preference tuning share, as the pairs want them."""
    dpo = job.dpo
    return replace(
        job.lora,
        epochs=dpo.epochs,
        learning_rate=dpo.learning_rate,
        batch_size=dpo.batch_size,
        gradient_accumulation_steps=dpo.gradient_accumulation_steps,
        warmup_ratio=dpo.warmup_ratio,
        max_steps=None,
    )


def _encoded(job: Job, tokenizer: Any) -> list[dict[str, list[int]]]:
    """Return the pairs as token ids.

    Raises:
        ConfigError: Pairs are longer than the rows may be; all of them are named.
    """
    stops = stop_ids(job.base, tokenizer)
    found, problems = [], []
    for pair in job.pairs:
        prompt, chosen = _answered(tokenizer, pair, pair.chosen, stops)
        _, rejected = _answered(tokenizer, pair, pair.rejected, stops)
        longest = len(prompt) + max(len(chosen), len(rejected))
        if longest > job.lora.max_length:
            problems.append(
                (
                    f"dpo.path: line {pair.line} has {longest} tokens, {job.lora.max_length} are "
                    "allowed",
                    f"set lora.max_length={longest} or shorten the pair",
                )
            )
        found.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    if problems:
        raise ConfigError(problems=tuple(problems))
    return found


def _answered(
    tokenizer: Any, pair: Pair, answer: str, stops: frozenset[int]
) -> tuple[list[int], list[int]]:
    """Return (prompt, answer with its stop token) as the page would exchange them."""
    messages = [*pair.messages, {"role": "assistant", "content": answer}]
    return encode_last(tokenizer, messages, number=pair.line, stops=stops)
