"""Own a start that all rows of a batch share, computed once: their system prompt, mostly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

WORTH_SHARING = 8
"""Tokens of a common start from which a pass of its own is cheaper than its copies."""


def attends_to_all(config: Any) -> bool:
    """Return whether every layer sees every earlier token: a window would need masks of its own."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    return set(kinds) == {"full_attention"} if kinds else window is None


def common_start(ids: Tensor, most: int) -> int:
    """Return how many tokens, at most ``most``, all rows start with; 0: too few to share.

    Args:
        ids: [rows, tokens].
        most: Tokens of the shortest row that need no answer of their own.
    """
    if len(ids) < 2:
        return 0
    same = int((ids == ids[0]).all(0).cumprod(0).sum())
    start = min(same, most)
    return start if start >= WORTH_SHARING else 0


def first_inputs(ids: Tensor, start: int) -> dict[str, Any]:
    """Return a model's inputs for the start; its keys and values land in ``past_key_values``."""
    import torch
    from transformers import DynamicCache

    return {
        "input_ids": ids[:1, :start],
        "attention_mask": torch.ones_like(ids[:1, :start]),
        "past_key_values": DynamicCache(),
        "use_cache": True,
    }


def rest_inputs(ids: Tensor, seen: Tensor, start: int, past: Any, kind: Any) -> dict[str, Any]:
    """Return a model's inputs for what follows the start.

    Args:
        ids: [rows, tokens], padded on the right.
        seen: [rows, tokens], 0 where padded.
        start: Tokens of the start.
        past: The cache that ``first_inputs`` was computed with; it stays as it is.
        kind: The model's type.
    """
    import torch
    from transformers import DynamicCache

    # Layers below a frozen one hold nothing, so a cache would not know its length: positions and
    # mask are written out.
    copies = DynamicCache()
    for index, layer in enumerate(past.layers):
        if layer.is_initialized:
            wide = (len(ids), -1, -1, -1)
            copies.update(layer.keys.expand(wide), layer.values.expand(wide), index)
    places = torch.arange(ids.shape[1], device=ids.device)
    hidden = (places[None, :] > places[start:, None]) | (seen[:, None, None, :] == 0)
    return {
        "input_ids": ids[:, start:],
        "position_ids": places[None, start:].expand(len(ids), -1),
        "attention_mask": hidden.to(kind) * torch.finfo(kind).min,
        "past_key_values": copies,
        "use_cache": True,
    }
