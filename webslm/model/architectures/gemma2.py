"""Own Gemma 2: capped scores and logits, every other layer local, norms on both sides."""

from __future__ import annotations

from webslm.model.architectures.decoder import Decoder, Style
from webslm.model.architectures.hf_config import every

GEMMA = Style(norm_offset=1.0, post_norms=True, scaled_embedding=True, output_bias=True)

GEMMA2 = Decoder(
    model_type="gemma2",
    causal_lm="Gemma2ForCausalLM",
    style=GEMMA,
    defaults={
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "num_key_value_heads": 4,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
        "tie_word_embeddings": True,
    },
    layer_types=every(2),
    activation_key="hidden_activation",
)
