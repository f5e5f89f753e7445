"""Settings small enough to train in seconds, and runs of the training stages with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from webslm.basics.stage import Context
from webslm.schema import (
    BaseConf,
    BaseSource,
    BaseStageConf,
    Device,
    Finetune,
    FinetuneStageConf,
    LaunchConf,
    LoraConf,
    MergeStageConf,
    ShapeConf,
    TinyConf,
)

SYSTEM = "You answer in one short sentence."
SHAPE = ShapeConf(
    model_type="qwen2",
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=32,
    vocab_size=512,
    max_position_embeddings=512,
)
TINY = TinyConf(
    text_paths=["shipped:tiny/text.jsonl"],
    steps=8,
    batch_size=4,
    sequence_length=48,
    learning_rate=4e-3,
)
LORA = LoraConf(
    r=4,
    alpha=8,
    dropout=0.0,
    target_modules=["q_proj", "v_proj", "down_proj"],
    epochs=2.0,
    learning_rate=1e-2,
    batch_size=2,
    gradient_accumulation_steps=1,
    max_length=256,
    lr_scheduler="linear",
    warmup_ratio=0.0,
    device=Device.cpu,
)
ANSWERS = {
    "What is a kettle?": "A kettle boils water for tea.",
    "What is a map?": "A map shows where places lie and how to get there.",
    "What is rain?": "Rain is water that falls from clouds.",
    "Why sleep?": "Sleep lets body and mind rest and mend after a long day.",
    "What is salt?": "Salt is a mineral that seasons food.",
}


def rows() -> list[dict[str, Any]]:
    """Return four single-turn rows and one of two turns."""
    made = [
        [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        for question, answer in ANSWERS.items()
    ]
    made[-1] += [
        {"role": "user", "content": "And pepper?"},
        {"role": "assistant", "content": "Pepper is a dried berry."},
    ]
    return [{"messages": messages} for messages in made]


def context(folder: Path) -> Context:
    """Return a context whose cache and logs lie in ``folder``."""
    return Context(cache_dir=folder / "cache", log_dir=folder / "log")


def make_data(folder: Path, lines: list[dict[str, Any]] | None = None) -> Path:
    """Write a data artifact."""
    folder.mkdir(parents=True)
    text = "".join(json.dumps(line) + "\n" for line in (rows() if lines is None else lines))
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    return folder


def base_conf(**changes: Any) -> BaseConf:
    """Return the base group of a tiny base."""
    conf = BaseConf(
        name="small", source=BaseSource.tiny, licence="Apache-2.0", shape=SHAPE, tiny=TINY
    )
    return replace(conf, **changes)


def make_base(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Run ``base`` into ``folder``."""
    from webslm.stages import base

    folder.mkdir(parents=True)
    conf = BaseStageConf(base=base_conf(**changes), seed=seed)
    base.run(conf, {}, folder, context(folder.parent))
    return folder


def make_adapter(
    folder: Path,
    base: Path,
    data: Path,
    seed: int = 0,
    scratch: Path | None = None,
    method: Finetune = Finetune.lora,
    **changes: Any,
) -> dict[str, Any]:
    """Run ``finetune`` into ``folder`` and return its train_log.json.

    With ``scratch`` a checkpoint is kept there after every step.
    """
    from webslm.stages import finetune

    folder.mkdir(parents=True)
    launch = LaunchConf(checkpoint_seconds=0)
    lora = replace(LORA, **changes)
    conf = FinetuneStageConf(lora=lora, seed=seed, method=method, launch=launch)
    ctx = replace(context(folder.parent), scratch_dir=scratch)
    finetune.run(conf, {"base": base, "data": data}, folder, ctx)
    log: dict[str, Any] = json.loads((folder / "train_log.json").read_text())
    return log


def make_merged(
    folder: Path, base: Path, adapter: Path, data: Path, dtype: str = "float32"
) -> dict[str, Any]:
    """Run ``merge`` into ``folder`` and return its merge.json."""
    from webslm.stages import merge

    folder.mkdir(parents=True)
    inputs = {"base": base, "finetune": adapter, "data": data}
    merge.run(MergeStageConf(dtype=dtype), inputs, folder, context(folder.parent))
    found: dict[str, Any] = json.loads((folder / "merge.json").read_text())
    return found
