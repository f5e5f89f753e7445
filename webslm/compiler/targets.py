"""Own which projections of an architecture an adapter may tune."""

from __future__ import annotations

from webslm.model.architectures import ARCHITECTURES

SEPARATE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
JOINED = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


def targets(model_type: str) -> tuple[str, ...]:
    """Return the linear modules of a layer as transformers names them; none for an unknown type."""
    family = ARCHITECTURES.get(model_type)
    if family is None:
        return ()
    return JOINED if family.style.fused else SEPARATE
