"""Own Qwen2 and Qwen2.5, Coder and Math too: biases on queries, keys and values, always."""

from __future__ import annotations

from webslm.model.architectures.decoder import Decoder, Style
from webslm.model.architectures.hf_config import above_first

QWEN2 = Decoder(
    model_type="qwen2",
    causal_lm="Qwen2ForCausalLM",
    style=Style(qkv="c_attn"),
    defaults={"use_sliding_window": False},
    fixed={"attention_bias": True},
    layer_types=above_first,
)
