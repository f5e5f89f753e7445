"""Time the fine-tune beside plain loops on the same rows, on the CPU; write a table.

Run: python -m bench.training [BASE] [--rounds=3], BASE being a checkpoint's folder; without one a
base of the embedded shape with random weights is made. All train the shipped medical rows with
the shipped settings of base=tiny for a few epochs: same base in float32, same LoRA, same batch
size. The plain loops are what one writes with transformers and peft, or TRL: random batches padded
by their collator, attention and threads as they come. Rounds alternate, each in a process of its
own; the fastest of each counts. By the clock and by the processor: on a shared machine the
second is the one to compare.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.bases import processor
from bench.training_runs import Task, measured

TABLE = Path(__file__).resolve().parent / "results" / "training.md"
EPOCHS = 3
ROUNDS = 3
KINDS = {"ours": "stage `finetune`", "plain": "transformers Trainer", "trl": "TRL SFTTrainer"}


def task(kind: str, base: Path) -> Task:
    """Return one fine-tune with the shipped settings of base=tiny."""
    from omegaconf import OmegaConf

    from webslm.basics.paths import conf_dir, data_dir

    shipped = OmegaConf.to_container(OmegaConf.load(conf_dir() / "lora" / "tiny.yaml"))
    assert isinstance(shipped, dict)
    lora: dict[str, Any] = {str(key): value for key, value in shipped.items()}
    # The plain loops know no copies of rows.
    lora.pop("augment", None)
    lora |= {"epochs": EPOCHS, "learning_rate": float(lora["learning_rate"])}
    rows = data_dir() / "medical" / "train.jsonl"
    return Task(kind=kind, base=str(base), rows=str(rows), lora=lora)


def table(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the lines of the table and the sentences below it."""
    lines = [
        "| loop | processor s (all rounds) | ours is faster | clock s (all rounds) "
        "| ours is faster | tokens/s | peak MiB | steps |",
        "|---|---|---:|---|---:|---:|---:|---:|",
    ]
    best = {
        kind: {key: min(run[key] for run in found) for key in ("cpu", "seconds", "rss_bytes")}
        for kind, found in runs.items()
    }
    for kind, found in runs.items():
        all_cpu, all_clock = (
            ", ".join(f"{run[key]:.1f}" for run in found) for key in ("cpu", "seconds")
        )
        lines.append(
            f"| {KINDS[kind]} | {best[kind]['cpu']:.1f} ({all_cpu}) "
            f"| {best[kind]['cpu'] / best['ours']['cpu']:.2f}x "
            f"| {best[kind]['seconds']:.1f} ({all_clock}) "
            f"| {best[kind]['seconds'] / best['ours']['seconds']:.2f}x "
            f"| {max(run['tokens_s'] for run in found):.0f} "
            f"| {best[kind]['rss_bytes'] / 2**20:.0f} | {found[0]['steps']} |"
        )
    return lines


def page(runs: dict[str, list[dict[str, Any]]], words: list[str], load: float) -> str:
    """Return the whole results page."""
    rounds = len(next(iter(runs.values())))
    about = (
        f"`{' '.join(['python -m bench.training', *words])}` on {time.strftime('%Y-%m-%d')}: "
        f"the embedded shape, medical rows, {EPOCHS} epochs, {rounds} rounds in turn on "
        f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} shared cores ({processor()}), "
        f"load {load:.0f}. float32, LoRA and batches as `conf/lora/tiny.yaml`. Counted from the "
        "end of the second step; the best round of each, all of them in brackets. On cores that "
        "others use too, processor time is what to compare."
    )
    title = "# Fine-tune on a CPU beside plain loops"
    return "\n".join([title, "", about, "", *table(runs), ""])


def make_base(folder: Path) -> Path:
    """Fill a folder with a checkpoint of the embedded shape; its numbers mean nothing."""
    from webslm.config.compose import compose
    from webslm.model.architectures import architecture
    from webslm.training import random_weights

    base = compose(["base=tiny"]).base
    folder.mkdir()
    random_weights.make(
        architecture(base.shape.model_type).config(base.shape),
        base.tiny,
        dtype="float32",
        seed=0,
        folder=folder,
        report=lambda *_: None,
    )
    return folder


def main(words: list[str]) -> None:
    """Alternate and write."""
    folders = [word for word in words if not word.startswith("--")]
    rounds = [int(word.removeprefix("--rounds=")) for word in words if word.startswith("--rounds=")]
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="webslm-bench-") as folder:
        base = Path(folders[0]) if folders else make_base(Path(folder) / "base")
        for _ in range(rounds[0] if rounds else ROUNDS):
            for kind, found in runs.items():
                found.append(measured(task(kind, base)))
                print(kind, found[-1], flush=True)
    TABLE.write_text(page(runs, words, os.getloadavg()[2]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
