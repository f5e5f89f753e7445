"""Own what a checkpoint's numbers reach on real rows. Quantize nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webslm.training.loaded import load_model

HEAD = "lm_head"
"""The library computes logits in float32 whatever its format."""


def largest_activations(checkpoint: Path, rows: Sequence[Sequence[int]]) -> dict[str, float]:
    """Return per module the largest magnitude that went in or out of it, in float32.

    Args:
        checkpoint: Folder with config.json and safetensors weights.
        rows: Token ids; each row is one forward pass.

    Returns:
        Largest absolute value by ``<module>.in`` or ``<module>.out``; the residual stream is the
        output of the layers. A value that is no number counts as infinite.
    """
    import torch

    model = load_model(checkpoint)
    found: dict[str, float] = {}
    for name, module in model.named_modules():
        leaf = next(module.children(), None) is None
        layer = name.rpartition(".")[2].isdigit()
        if name != HEAD and (leaf or layer):
            module.register_forward_hook(_watch(found, name))
    with torch.inference_mode():
        for ids in rows:
            model(input_ids=torch.tensor([list(ids)]), use_cache=False)
    return found


def _watch(found: dict[str, float], name: str) -> Any:
    def hook(_module: Any, inputs: Any, output: Any) -> None:
        for end, values in (("in", inputs), ("out", output)):
            for value in values if isinstance(values, tuple) else (values,):
                _take(found, f"{name}.{end}", value)

    return hook


def _take(found: dict[str, float], key: str, value: Any) -> None:
    import torch

    if isinstance(value, torch.Tensor) and value.is_floating_point():
        largest = float(torch.nan_to_num(value.abs(), nan=float("inf"), posinf=float("inf")).max())
        found[key] = max(found.get(key, 0.0), largest)
