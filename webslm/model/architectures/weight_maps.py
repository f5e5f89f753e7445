"""Own the types of a weight map: which checkpoint tensors make which library parameter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a library before quantization.

    ``name`` ends in ``.weight`` or ``.bias``; a quantized weight is stored as
    ``<stem>.q_weight`` and ``<stem>.q_scale`` instead (webllm-contract section 6).
    """

    name: str
    shape: tuple[int, ...]
    """[outputs, inputs] for a linear layer or an embedding table, [n] for norms and biases."""
    sources: tuple[str, ...]
    """Checkpoint tensors whose rows, concatenated along axis 0, are this parameter."""
    quantize: bool = False
    """Whether a weight format applies (linear weights and embeddings)."""
