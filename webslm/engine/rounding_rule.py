"""Own whether a fine-tune computes with weights as the format rounds them, and why not."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.schema import Aware, Config, Finetune, Precision, Scale

UNTUNED = (Finetune.none, Finetune.adapter)


def learns_through_rounding(cfg: Config) -> bool:
    """Return whether a fine-tune computes with weights as their format rounds them."""
    wanted = cfg.lora.quantization_aware is not Aware.never
    return wanted and cfg.quant.bits > 0 and why_unaware(cfg) is None


def rounding_lines(cfg: Config) -> Iterator[str]:
    """Yield what a plan says of a rounding that a fine-tune was to know, and does not."""
    if cfg.lora.quantization_aware is Aware.auto and cfg.finetune not in UNTUNED:
        reason = why_unaware(cfg)
        if reason is not None:
            yield f"the fine-tune does not know the rounding: {reason}"


def why_unaware(cfg: Config) -> str | None:
    """Return why a fine-tune cannot learn through its format's rounding; None: it can."""
    if cfg.finetune is not Finetune.lora:
        return f"finetune={cfg.finetune.value} has no weights to round as they learn"
    if cfg.lora.dropout:
        return "a weight is rounded whole, and lora.dropout drops parts of its input"
    if cfg.launch.processes > 1:
        return "one process trains it, and launch.processes has several"
    if cfg.precision is Precision.auto:
        return "precision=auto chooses the format after the fine-tune"
    if cfg.scale is not Scale.none:
        return f"scale={cfg.scale.value} rounds otherwise, after the fine-tune"
    return None
