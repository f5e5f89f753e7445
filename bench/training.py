"""Time the fine-tune beside a plain transformers Trainer on the same rows; write a table.

Run: python bench/training.py BASE [ROUNDS], BASE being a stored base's folder. Both train the
shipped medical rows with the shipped settings of base=tiny for a few epochs: same base in
float32, same LoRA, same labels, same batch size, same optimiser. The plain loop is what one writes
with transformers and peft alone: random batches padded by its collator, attention and threads as
they come. Rounds alternate, each in a process of its own; the fastest of each counts.
Counted is from the end of the first step to the end of the last, by the clock and by the
processor: on a shared machine the second is the one to compare.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).resolve().parent / "results" / "training.md"
EPOCHS = 3.0
KINDS = ("ours", "plain")


class Clock:
    """The time at the end of every step."""

    def __init__(self) -> None:
        """Begin with no step."""
        self.ticks: list[tuple[float, float]] = []

    def tick(self, *_: object) -> None:
        """Note the end of a step."""
        self.ticks.append((time.monotonic(), time.process_time()))

    def found(self, loss: float) -> dict[str, float]:
        """Return seconds between the ends of the first and the last step."""
        (begun, cpu), (ended, cpu_after) = self.ticks[0], self.ticks[-1]
        steps = len(self.ticks) - 1
        return {"seconds": ended - begun, "cpu": cpu_after - cpu, "steps": steps, "loss": loss}


def settings() -> Any:
    """Return the shipped settings of base=tiny."""
    from omegaconf import OmegaConf

    from webslm.paths import conf_dir
    from webslm.schema import LoraConf

    loaded = OmegaConf.load(conf_dir() / "lora" / "tiny.yaml")
    made = OmegaConf.merge(OmegaConf.structured(LoraConf), loaded, {"epochs": EPOCHS})
    return OmegaConf.to_object(made)


def ours(base: Path, folder: Path) -> dict[str, Any]:
    """Run the stage's own training, checkpoints included as a build keeps them."""
    from webslm.adapters import trainer, turns
    from webslm.paths import data_dir
    from webslm.schema import LaunchConf

    job = trainer.Job(
        base=base,
        rows=turns.read_rows(data_dir() / "medical" / "train.jsonl"),
        lora=settings(),
        launch=LaunchConf(),
        seed=0,
        folder=folder / "out",
        scratch=folder / "scratch",
    )
    clock = Clock()
    done = trainer.finetune(job, clock.tick)
    return clock.found(done.loss[-1][1])


def plain(base: Path, folder: Path) -> dict[str, Any]:
    """Run a plain Trainer."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from webslm.adapters import turns
    from webslm.paths import data_dir

    lora = settings()
    tokenizer = AutoTokenizer.from_pretrained(base)
    encoded = turns.encode_all(
        tokenizer,
        turns.read_rows(data_dir() / "medical" / "train.jsonl"),
        stops=turns.stop_ids(base, tokenizer),
        loss=lora.loss,
        max_length=lora.max_length,
    )
    torch.manual_seed(0)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.target_modules),
            task_type="CAUSAL_LM",
        ),
    )
    rows = {
        "input_ids": [row.input_ids for row in encoded],
        "attention_mask": [[1] * len(row.input_ids) for row in encoded],
        "labels": [row.labels for row in encoded],
    }
    clock = Clock()

    class Ticks(TrainerCallback):
        """Notes the end of every step."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

    trainer = Trainer(
        model=model,
        callbacks=[Ticks()],
        args=TrainingArguments(
            output_dir=str(folder / "out"),
            num_train_epochs=lora.epochs,
            per_device_train_batch_size=lora.batch_size,
            learning_rate=lora.learning_rate,
            lr_scheduler_type=lora.lr_scheduler,
            warmup_steps=lora.warmup_ratio,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(rows),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return clock.found(float(losses[-1]))


def measured(kind: str, base: Path) -> dict[str, Any]:
    """Train once in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="webslm-bench-") as folder:
        (Path(folder) / "out").mkdir()
        found = Path(folder) / "found.json"
        subprocess.run(
            [sys.executable, __file__, "--one", kind, str(base), folder, str(found)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        result: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return result


def main(base: Path, rounds: int) -> None:
    """Alternate, take the fastest of each, write."""
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            runs[kind].append(measured(kind, base))
            print(kind, runs[kind][-1], flush=True)
    best = {kind: min(found, key=lambda run: run["cpu"]) for kind, found in runs.items()}
    ratio = best["plain"]["cpu"] / best["ours"]["cpu"]
    cores = len(os.sched_getaffinity(0))
    lines = [
        "# Fine-tune on a CPU beside a plain transformers Trainer",
        "",
        f"`python bench/training.py`: base=tiny, medical rows, {EPOCHS:g} epochs, {rounds} rounds "
        f"in turn on {cores} of {os.cpu_count()} shared cores, load {os.getloadavg()[2]:.0f}. "
        "From the end of the first step to the end of the last.",
        "",
        "| loop | processor s | all rounds | clock s | all rounds | steps | processor ms a step |",
        "|---|---:|---|---:|---|---:|---:|",
    ]
    for kind in KINDS:
        every = [", ".join(f"{run[key]:.1f}" for run in runs[kind]) for key in ("cpu", "seconds")]
        fastest = min(run["seconds"] for run in runs[kind])
        run = best[kind]
        lines.append(
            f"| {kind} | {run['cpu']:.1f} | {every[0]} | {fastest:.1f} | {every[1]} "
            f"| {run['steps']} | {1000 * run['cpu'] / run['steps']:.0f} |"
        )
    lines += ["", f"In processor time ours is {ratio:.2f} times as fast as the plain loop.", ""]
    TABLE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        run = {"ours": ours, "plain": plain}[sys.argv[2]](Path(sys.argv[3]), Path(sys.argv[4]))
        Path(sys.argv[5]).write_text(json.dumps(run), encoding="utf-8")
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
