"""Own what a fine-tuning method changes: the loaded base, the weights that learn. Train nothing."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.errors import ConfigError, EnvironmentMismatch
from webslm.schema import Device, Finetune, LoraConf

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


def check_machine(method: Finetune, lora: LoraConf) -> None:
    """Check that this machine can train by a method, before any work.

    Raises:
        EnvironmentMismatch: A GPU is needed and there is none, or bitsandbytes is not installed.
    """
    device = find_device(lora.device)
    if method is not Finetune.qlora:
        return
    if device == "cpu":
        raise EnvironmentMismatch(
            "finetune: qlora holds the base in 4 bits on a GPU, and this machine has none",
            hint="finetune=lora trains on a CPU too",
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise EnvironmentMismatch(
            "finetune: qlora needs bitsandbytes", hint="pip install 'webslm[qlora]'"
        )


def load(base: Path, device: str, method: Finetune) -> PreTrainedModel:
    """Return the base ready to be tuned: in float32, or for qlora in 4 bits."""
    import torch
    from transformers import AutoModelForCausalLM

    if method is Finetune.qlora:
        return _in_four_bits(base, device)
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


def _in_four_bits(base: Path, device: str) -> PreTrainedModel:
    """Return the base as QLoRA holds it (arXiv:2305.14314): NF4, scales quantized once more."""
    import torch
    from peft import prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    wide = device == "cpu" or torch.cuda.is_bf16_supported()
    kind = torch.bfloat16 if wide else torch.float16
    place = "cpu" if device == "cpu" else f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=kind,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=kind,
        ),
        device_map={"": place},
        local_files_only=True,
        use_safetensors=True,
    )
    # Norms and embeddings in float32; trl itself turns gradient checkpointing on where asked for.
    prepared: PreTrainedModel = prepare_model_for_kbit_training(
        model, use_gradient_checkpointing=False
    )
    return prepared


def peft_config(lora: LoraConf, method: Finetune) -> Any:
    """Return peft's configuration of a fresh adapter; None: all weights learn."""
    from peft import LoraConfig

    if method is Finetune.full:
        return None
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
        use_dora=method is Finetune.dora,
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
