"""Time the fine-tune on a GPU beside a plain TRL script, at real shapes; write JSON and a table.

Run: python -m bench.training_gpu FOLDER [GROUP…]: makes each base group's shape with random weights
in FOLDER (unless it is there), then trains all shipped rows with the reference recipe, LoRA and
QLoRA, by our stage and by a plain TRL script in bfloat16 and float16; writes training_gpu.json and
training_gpu.md there. Needs a CUDA GPU, for QLoRA bitsandbytes, and no network.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.training_runs import Task, measured

DEFAULT = ("qwen2_5_0_5b", "qwen2_5_1_5b")
DOMAINS = ("medical", "legal", "insurance")
STEPS_OF = {16: 2, 2: 1}
"""Epochs by rows a pass: small batches take long."""
LOOPS = (
    *(("lora", "ours", "bfloat16"), ("lora", "trl", "bfloat16")),
    *(("qlora", "ours", "bfloat16"), ("qlora", "trl", "bfloat16")),
    *(("lora", "ours", "float16"), ("lora", "trl", "float16"), ("qlora", "ours", "float16")),
)
"""Method, whose loop, and what it computes in. TRL's QLoRA in float16 is left out: it turns the
adapter to bfloat16, which torch's loss scaling refuses."""
BATCHES = ((16, 1), (2, 8))
"""Rows a forward pass and passes a step; the recipe has the second."""
NAMES = {"ours": "stage `finetune`", "trl": "TRL script"}


def make_base(group: str, folder: Path) -> Path:
    """Return a folder with a base group's shape, filled with random numbers in the group's type."""
    from webslm.config.compose import compose
    from webslm.model.architectures import architecture
    from webslm.training import random_weights

    base = compose([f"base={group}"]).base
    made = folder / group
    if not made.is_dir():
        made.mkdir(parents=True)
        random_weights.make(
            architecture(base.shape.model_type).config(base.shape),
            base.tiny,
            dtype=base.dtype,
            seed=0,
            folder=made,
            report=lambda *_: None,
        )
    return made


def make_rows(folder: Path) -> Path:
    """Return one file with the rows of all shipped domains."""
    from webslm.basics.paths import data_dir

    path = folder / "rows.jsonl"
    parts = [(data_dir() / name / "train.jsonl").read_bytes() for name in DOMAINS]
    path.write_bytes(b"".join(parts))
    return path


def recipe(rows: int, passes: int) -> dict[str, Any]:
    """Return the reference recipe's values with other batches of as many rows."""
    from omegaconf import OmegaConf

    from webslm.basics.paths import conf_dir

    shipped = OmegaConf.to_container(OmegaConf.load(conf_dir() / "lora" / "reference.yaml"))
    assert isinstance(shipped, dict)
    lora: dict[str, Any] = {str(key): value for key, value in shipped.items()}
    return lora | {
        "epochs": STEPS_OF[rows],
        "batch_size": rows,
        "gradient_accumulation_steps": passes,
        "learning_rate": float(lora["learning_rate"]),
    }


def attempt(task: Task) -> dict[str, Any]:
    """Return what was measured, or why there is nothing."""
    try:
        return measured(task)
    except RuntimeError as exc:
        return {"failed": str(exc)}


def table(entries: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the table; shares are of TRL's bfloat16 row beside it.

    Args:
        entries: group, method, batch, kind and precision, with what ``measured`` returned.
    """
    lines = [
        "| base | rows x passes | method | loop | computes in | tokens/s | of TRL's bfloat16 "
        "| peak GPU MiB |",
        "|---|---|---|---|---|---:|---:|---:|",
    ]
    plain = {
        (entry["group"], entry["batch"], entry["method"]): entry["tokens_s"]
        for entry in entries
        if entry["kind"] == "trl" and entry["precision"] == "bfloat16" and "failed" not in entry
    }
    for entry in entries:
        who = f"| {entry['group']} | {entry['batch']} | {entry['method']} | {NAMES[entry['kind']]} "
        who += f"| {entry['precision']} "
        if "failed" in entry:
            last = (entry["failed"].splitlines() or ["no output"])[-1]
            lines.append(f"{who}| failed: {last} | | |")
            continue
        beside = plain.get((entry["group"], entry["batch"], entry["method"]))
        share = f"{entry['tokens_s'] / beside:.2f}x" if beside else ""
        lines.append(
            f"{who}| {entry['tokens_s']:.0f} | {share} | {entry['gpu_bytes'] / 2**20:.0f} |"
        )
    return lines


def machine() -> str:
    """Return the GPU and the versions that took part."""
    from importlib.metadata import version

    import torch

    wheels = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes")
    return ", ".join([torch.cuda.get_device_name(), *(f"{one} {version(one)}" for one in wheels)])


def main(words: list[str]) -> None:
    """Train what is asked for and write after every run."""
    folder = Path(words[0])
    folder.mkdir(parents=True, exist_ok=True)
    rows = make_rows(folder)
    entries: list[dict[str, Any]] = []
    # The recipe's small batches come last: they take longest and say least of the GPU.
    for batch in BATCHES:
        for group in words[1:] or DEFAULT:
            base = make_base(group, folder)
            for method, kind, precision in LOOPS:
                task = Task(
                    kind=kind,
                    base=str(base),
                    rows=str(rows),
                    lora=recipe(*batch),
                    four_bits=method == "qlora",
                    precision=precision,
                )
                who = {"group": group, "batch": "x".join(map(str, batch)), "method": method}
                entries.append(who | {"kind": kind, "precision": precision} | attempt(task))
                print(entries[-1], flush=True)
                document = {"machine": machine(), "date": time.strftime("%Y-%m-%d")}
                (folder / "training_gpu.json").write_text(
                    json.dumps(document | {"runs": entries}, indent=1) + "\n", encoding="utf-8"
                )
    (folder / "training_gpu.md").write_text("\n".join(table(entries)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
