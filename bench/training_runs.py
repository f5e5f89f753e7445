"""The fine-tunes that are timed: our stage's, a plain transformers loop's, a plain TRL script's.

``measured`` runs one in a process of its own: python -m bench.training_runs TASK.json FOUND.json.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SKIPPED_STEPS = 2
"""Steps before the clock starts: libraries choose their kernels in them."""
TAIL_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Task:
    """One fine-tune."""

    kind: str
    """ours, plain (transformers' Trainer) or trl (TRL's SFTTrainer)."""
    base: str
    """Folder of the checkpoint."""
    rows: str
    """JSONL of conversations."""
    lora: dict[str, Any]
    """Values of LoraConf."""
    four_bits: bool = False
    """Whether the base is held in 4 bits (QLoRA)."""
    precision: str = "float32"
    """What a step computes in: float32, bfloat16 or float16."""


class Clock:
    """When steps ended, by the clock and by the processor."""

    def __init__(self) -> None:
        self.ticks: list[tuple[float, float]] = []

    def tick(self, *_: object) -> None:
        """Note the end of a step; only where counting begins is a GPU waited for."""
        if len(self.ticks) == SKIPPED_STEPS - 1:
            synchronise()
        self.ticks.append((time.monotonic(), time.process_time()))

    def found(self, loss: float) -> dict[str, float]:
        """Return seconds, processor seconds and number of the counted steps."""
        synchronise()
        begun, cpu = self.ticks[SKIPPED_STEPS - 1]
        return {
            "seconds": time.monotonic() - begun,
            "cpu": time.process_time() - cpu,
            "steps": len(self.ticks) - SKIPPED_STEPS,
            "all_steps": len(self.ticks),
            "loss": loss,
        }


class Ticks:
    """A stage's Progress that hands steps to a clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def update(self, done: float, total: float, message: str = "") -> None:
        """Note the end of a step."""
        self.clock.tick()
        if done == total:
            self.end = self.clock.found(float(message.removeprefix("loss ")))

    def note(self, message: str) -> None:
        """Say nothing."""


def synchronise() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ours(task: Task, folder: Path) -> dict[str, Any]:
    """Run the stage ``finetune``, checkpoints included as a build keeps them."""
    from webslm.basics.stage import Context
    from webslm.schema import Arithmetic, Finetune, FinetuneStageConf, LoraConf
    from webslm.stages import finetune

    (folder / "data").mkdir()
    (folder / "data" / "train.jsonl").write_bytes(Path(task.rows).read_bytes())
    ticks = Ticks(Clock())
    finetune.run(
        FinetuneStageConf(
            lora=LoraConf(**task.lora, precision=Arithmetic[task.precision]),
            seed=0,
            method=Finetune.qlora if task.four_bits else Finetune.lora,
        ),
        {"base": Path(task.base), "data": folder / "data"},
        folder / "out",
        Context(cache_dir=folder, log_dir=folder, scratch_dir=folder / "scratch", progress=ticks),
    )
    return ticks.end


def plain(task: Task, folder: Path) -> dict[str, Any]:
    """Run transformers' Trainer as one writes it by hand: our labels, its collator and batches."""
    from datasets import Dataset
    from peft import get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
    )

    encoded = encode(task)
    rows = {
        "input_ids": [row.input_ids for row in encoded],
        "attention_mask": [[1] * len(row.input_ids) for row in encoded],
        "labels": [row.labels for row in encoded],
    }
    clock = Clock()
    trainer = Trainer(
        model=get_peft_model(
            AutoModelForCausalLM.from_pretrained(task.base, dtype=task.precision), peft_config(task)
        ),
        args=TrainingArguments(**arguments(task, folder), logging_steps=1),
        train_dataset=Dataset.from_dict(rows),
        data_collator=DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(task.base)),
        callbacks=[callback(clock)],
    )
    trainer.train()
    return clock.found(last_loss(trainer))


def trl(task: Task, folder: Path) -> dict[str, Any]:
    """Run TRL's SFTTrainer as its documentation does: rows in, everything else its own."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    from webslm.rows.artifact import read_messages

    four_bits = {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, task.precision),
        ),
        "device_map": {"": 0},
    }
    clock = Clock()
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(
            task.base, dtype=task.precision, **(four_bits if task.four_bits else {})
        ),
        args=SFTConfig(
            **arguments(task, folder),
            max_length=task.lora["max_length"],
            bf16=task.precision == "bfloat16",
            fp16=task.precision == "float16",
        ),
        train_dataset=Dataset.from_list(
            [
                {"prompt": messages[:-1], "completion": messages[-1:]}
                for messages in read_messages(Path(task.rows))
            ]
        ),
        peft_config=peft_config(task),
        callbacks=[callback(clock)],
    )
    trainer.train()
    return clock.found(last_loss(trainer))


def arguments(task: Task, folder: Path) -> dict[str, Any]:
    """Return what the plain loops are told so that they do the same work."""
    import torch

    lora = task.lora
    return {
        "output_dir": str(folder / "out"),
        "num_train_epochs": lora["epochs"],
        "per_device_train_batch_size": lora["batch_size"],
        "gradient_accumulation_steps": lora["gradient_accumulation_steps"],
        "gradient_checkpointing": lora.get("gradient_checkpointing", False),
        "learning_rate": lora["learning_rate"],
        "lr_scheduler_type": lora.get("lr_scheduler", "linear"),
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": not torch.cuda.is_available(),
        "disable_tqdm": True,
    }


def peft_config(task: Task) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=task.lora["r"],
        lora_alpha=task.lora["alpha"],
        lora_dropout=task.lora["dropout"],
        target_modules=list(task.lora["target_modules"]),
        task_type="CAUSAL_LM",
    )


def callback(clock: Clock) -> Any:
    from transformers import TrainerCallback

    class StepEnds(TrainerCallback):
        """Notes the end of every step."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

    return StepEnds()


def last_loss(trainer: Any) -> float:
    return float([entry["loss"] for entry in trainer.state.log_history if "loss" in entry][-1])


def encode(task: Task) -> list[Any]:
    """Return the rows as token ids and labels, as our stage makes them."""
    from transformers import AutoTokenizer

    from webslm.model.prompts.ends import stop_ids
    from webslm.rows.artifact import read_messages
    from webslm.schema import Loss
    from webslm.training import turns

    tokenizer = AutoTokenizer.from_pretrained(task.base)
    return turns.encode_all(
        tokenizer,
        read_messages(Path(task.rows)),
        stops=stop_ids(Path(task.base), tokenizer),
        loss=Loss.assistant_only,
        max_length=task.lora["max_length"],
    )


def one(task: Task, folder: Path) -> dict[str, Any]:
    """Train once and return what was measured."""
    import torch

    (folder / "out").mkdir()
    tokens = sum(len(row.input_ids) for row in encode(task))
    found = {"ours": ours, "plain": plain, "trl": trl}[task.kind](task, folder)
    counted = tokens * task.lora["epochs"] * found["steps"] / found["all_steps"]
    return found | {
        "tokens_s": counted / found["seconds"],
        "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "gpu_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    }


def measured(task: Task) -> dict[str, Any]:
    """Train once in a process of its own.

    Raises:
        RuntimeError: It failed; the end of what it said.
    """
    with tempfile.TemporaryDirectory(prefix="webslm-bench-") as folder:
        asked, found = Path(folder) / "task.json", Path(folder) / "found.json"
        asked.write_text(json.dumps(dataclasses.asdict(task)), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "bench.training_runs", str(asked), str(found)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError("\n".join(done.stdout.splitlines()[-TAIL_LINES:]))
        result: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return result


def main(asked: Path, found: Path) -> None:
    """Do one task."""
    task = Task(**json.loads(asked.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory(prefix="webslm-train-") as folder:
        found.write_text(json.dumps(one(task, Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
