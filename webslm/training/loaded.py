"""Own what PyTorch says, in float32, of a checkpoint or of other weights in it. Train nothing.

The browser is compared with these answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics.errors import StageFailed
from webslm.model.prompts.rendering import prompt_ids
from webslm.training.loading import load_causal_lm, load_tokenizer

__all__ = [
    "decode",
    "load_model",
    "load_tokenizer",
    "prompt_ids",
]

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Return the text of an answer without its special tokens."""
    text: str = tokenizer.decode(list(tokens), skip_special_tokens=True)
    return text


def load_model(checkpoint: Path, state: Mapping[str, np.ndarray] | None = None) -> PreTrainedModel:
    """Load a checkpoint in float32 on the CPU; with ``state``, replace every weight by it.

    Args:
        checkpoint: Folder with config.json and safetensors weights.
        state: Weight name in the checkpoint to array of the same shape (dequantized weights).
            A tied output head need not be given.

    Raises:
        StageFailed: The checkpoint or ``state`` lacks a weight, has one too many or one of another
            shape.
    """
    import torch

    model = load_causal_lm(checkpoint, dtype=torch.float32, attn_implementation="eager")
    if state is not None:
        _replace(model, state)
    return model.eval()


def _replace(model: PreTrainedModel, state: Mapping[str, np.ndarray]) -> None:
    import torch

    wanted = dict(model.named_parameters())
    tied = {name for name, _ in model.named_parameters(remove_duplicate=False)} - set(wanted)
    missing = sorted(set(wanted) - set(state))
    unknown = sorted(set(state) - set(wanted) - tied)
    if missing or unknown:
        raise StageFailed(
            f"reference: {len(missing)} weights missing {missing[:3]}, "
            f"{len(unknown)} unknown {unknown[:3]}"
        )
    with torch.no_grad():
        for name, parameter in wanted.items():
            value = torch.tensor(state[name], dtype=torch.float32)
            if value.shape != parameter.shape:
                raise StageFailed(
                    f"reference: {name} has shape {list(value.shape)}, "
                    f"the model wants {list(parameter.shape)}"
                )
            parameter.copy_(value)
