"""Own Phi-3 and Phi-3.5: projections joined in the checkpoint, two sets of frequencies."""

from __future__ import annotations

from webslm.model.architectures.decoder import Decoder, Style

PHI3 = Decoder(
    model_type="phi3",
    causal_lm="Phi3ForCausalLM",
    style=Style(fused=True),
    defaults={"original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5},
    fixed={"attention_bias": False},
)
