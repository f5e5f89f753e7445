"""Own what a fine-tuning method changes: the loaded base, the weights that learn. Train nothing."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.schema import Arithmetic, Device, Finetune, LoraConf, Sharding
from webslm.training.loading import load_causal_lm

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


def find_precision(wanted: Arithmetic, device: str) -> str:
    """Return float32, bfloat16 or float16: what a step computes in on cpu or cuda.

    Raises:
        EnvironmentMismatch: The device has not what is asked for.
    """
    import torch

    if device == "cpu":
        if wanted in (Arithmetic.auto, Arithmetic.float32):
            return "float32"
        raise EnvironmentMismatch(
            f"lora.precision: {wanted.value} asked for, and this machine has no GPU",
            hint="lora.precision=auto",
        )
    wide = torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted is Arithmetic.auto:
        return "bfloat16" if wide else "float16"
    if wanted is Arithmetic.bfloat16 and not wide:
        raise EnvironmentMismatch(
            "lora.precision: this GPU has no bfloat16", hint="lora.precision=float16"
        )
    asked: str = wanted.value
    return asked


def check_machine(method: Finetune, lora: LoraConf) -> None:
    """Check that this machine can train by a method, before any work.

    Raises:
        EnvironmentMismatch: A GPU is needed and there is none, or bitsandbytes is not installed.
    """
    device = find_device(lora.device)
    find_precision(lora.precision, device)
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


def load(
    base: Path, device: str, method: Finetune, precision: str, sharding: Sharding = Sharding.none
) -> PreTrainedModel:
    """Return the base ready to be tuned: held in what a step computes in, or for qlora in 4 bits.

    In float32 where all of it learns, and where it is sharded: a shard has one type, and the
    adapter in it is float32.
    """
    import torch

    if method is Finetune.qlora:
        return _in_four_bits(base, device, precision)
    # On a CPU the plain attention of short rows is faster than the fused one (15-20 % a step).
    attention = "eager" if device == "cpu" else "sdpa"
    whole = method is Finetune.full or sharding is Sharding.fsdp
    return load_causal_lm(
        base,
        dtype=torch.float32 if whole else getattr(torch, precision),
        attn_implementation=attention,
    )


def _in_four_bits(base: Path, device: str, precision: str) -> PreTrainedModel:
    """Return the base as QLoRA holds it (arXiv:2305.14314): NF4, scales quantized once more.

    Norms, embeddings and the head stay in what a step computes in: float32 copies of them, as peft
    prepares, cost two thirds more memory and a tenth of the speed.
    """
    import torch
    from transformers import BitsAndBytesConfig

    kind = getattr(torch, precision)
    place = "cpu" if device == "cpu" else f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    model = load_causal_lm(
        base,
        dtype=kind,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=kind,
        ),
        device_map={"": place},
    )
    for weight in model.parameters():
        weight.requires_grad = False
    return model


def keep_learning_in_float32(model: Any) -> None:
    """Hold what learns in float32.

    trl turns the adapter of a 4-bit base to bfloat16, whose steps swallow small updates.
    """
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def first_learning(lora: LoraConf, num_layers: int) -> int:
    """Return the lowest layer that learns, from 0.

    Raises:
        ConfigError: More layers should learn than the base has.
    """
    if lora.layers is None:
        return 0
    if lora.layers > num_layers:
        raise ConfigError(
            f"lora.layers: {lora.layers} layers should learn, the base has {num_layers}",
            hint="lora.layers=null lets all learn",
        )
    return num_layers - lora.layers


def peft_config(lora: LoraConf, method: Finetune, num_layers: int) -> Any:
    """Return peft's configuration of a fresh adapter; None: all weights learn.

    Raises:
        ConfigError: More layers should learn than the base has.
    """
    from peft import LoraConfig

    if method is Finetune.full:
        return None
    first = first_learning(lora, num_layers)
    upper = {
        "layers_to_transform": list(range(first, num_layers)),
        "layers_pattern": "layers",
    }
    return LoraConfig(
        **(upper if first else {}),
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
