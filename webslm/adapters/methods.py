"""Own what a fine-tuning method changes: the loaded base, the weights that learn. Train nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.errors import ConfigError, EnvironmentMismatch
from webslm.schema import Device, LoraConf

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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


def load(base: Path, device: str) -> PreTrainedModel:
    """Return the base in float32, ready to be tuned."""
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


def peft_config(lora: LoraConf) -> Any:
    """Return peft's configuration of a fresh adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
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
