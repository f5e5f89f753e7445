"""Own Qwen3: normalised query and key heads, whose size does not follow from the hidden size."""

from __future__ import annotations

from webslm.model.architectures.decoder import Decoder, Style
from webslm.model.architectures.hf_config import above_first

QWEN3 = Decoder(
    model_type="qwen3",
    causal_lm="Qwen3ForCausalLM",
    style=Style(qkv="c_attn", head_norms=True, output_bias=True),
    defaults={"head_dim": 128, "use_sliding_window": False},
    layer_types=above_first,
)
