"""Own the text part of Gemma 3: five local layers to a full one, each kind with its own base."""

from __future__ import annotations

from dataclasses import replace

from webslm.model.architectures.decoder import Decoder
from webslm.model.architectures.gemma2 import GEMMA
from webslm.model.architectures.hf_config import every

GEMMA3_TEXT = Decoder(
    model_type="gemma3_text",
    causal_lm="Gemma3ForCausalLM",
    style=replace(GEMMA, head_norms=True),
    defaults={
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "num_key_value_heads": 4,
        "query_pre_attn_scalar": 256,
        "rope_local_base_freq": 10000.0,
        "rope_theta": 1000000.0,
        "sliding_window": 4096,
        "tie_word_embeddings": True,
    },
    layer_types=every(6),
    activation_key="hidden_activation",
)
