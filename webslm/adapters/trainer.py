"""Own the LoRA fine-tune: check base, rows and targets, train through ``sft``, save the adapter."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.adapters import sft
from webslm.adapters.sft import Report
from webslm.adapters.torch_mode import quiet, reproducible
from webslm.adapters.turns import Messages, encode_all, sample, stop_ids
from webslm.errors import ConfigError, EnvironmentMismatch
from webslm.fs import write_text
from webslm.schema import Device, LaunchConf, LoraConf

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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


def finetune(
    base: Path,
    rows: Sequence[Messages],
    lora: LoraConf,
    *,
    seed: int,
    folder: Path,
    report: Report,
    launch: LaunchConf | None = None,
) -> Training:
    """Tune an adapter for ``base`` on ``rows`` and write it to ``folder``.

    With ``launch`` this is one of several processes that torchrun started; the first one writes.

    Raises:
        ConfigError: A row is too long, a target matches no module, the scheduler is unknown.
        EnvironmentMismatch: A GPU is asked for and there is none.
        StageFailed: No stop token inside the loss, or the loss stopped being a number.
    """
    with quiet(), reproducible(seed) as threads:
        from transformers import AutoTokenizer

        device = find_device(lora.device)
        tokenizer: Any = AutoTokenizer.from_pretrained(base, local_files_only=True)
        encoded = encode_all(
            tokenizer,
            rows,
            stops=stop_ids(base, tokenizer),
            loss=lora.loss,
            max_length=lora.max_length,
        )
        model = _load(base, device)
        check_targets(model, lora.target_modules)
        started = time.monotonic()
        trainer = sft.trainer(
            *(model, tokenizer, encoded, lora, seed, device, folder, report),
            launch or LaunchConf(),
        )
        trainer.train()
        seconds = time.monotonic() - started
        _save(trainer, folder)
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
    )


def check_targets(model: PreTrainedModel, targets: Sequence[str]) -> None:
    """Check that every target names at least one linear module.

    Raises:
        ConfigError: Some match nothing, as on models that fuse their projections; all are named.
    """
    import torch

    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings()
    }
    missing = [target for target in targets if target not in linear]
    if missing or not targets:
        raise ConfigError(
            f"lora.target_modules: {', '.join(missing) or 'the empty list'} matches no module "
            "of the base",
            hint=f"this base has {', '.join(sorted(linear))}",
        )


def find_device(wanted: Device) -> str:
    """Return cpu or cuda.

    Raises:
        EnvironmentMismatch: A GPU is asked for and there is none.
    """
    import torch

    if wanted is Device.cpu:
        return "cpu"
    found = torch.cuda.is_available()
    if wanted is Device.cuda and not found:
        raise EnvironmentMismatch(
            "lora.device: cuda asked for and none found", hint="set lora.device=cpu"
        )
    return "cuda" if found else "cpu"


def _load(base: Path, device: str) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    # On a CPU the plain attention of short rows is faster than the fused one (15-20 % a step).
    attention = "eager" if device == "cpu" else "sdpa"
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.float32,
        attn_implementation=attention,
        local_files_only=True,
        use_safetensors=True,
    )
    return model


def _save(trainer: Any, folder: Path) -> None:
    """Write the adapter so that its bytes hold no path, order of a set or version card."""
    # Of a sharded model every process holds a part: all gather, the first one writes.
    gathered = (
        {"state_dict": trainer.accelerator.get_state_dict(trainer.model_wrapped)}
        if trainer.is_fsdp_enabled
        else {}
    )
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.save_pretrained(folder, save_embedding_layers=False, **gathered)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    write_text(file, json.dumps(config, indent=2, sort_keys=True) + "\n")
