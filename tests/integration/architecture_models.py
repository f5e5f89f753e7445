"""A small shape of every architecture, and its random model as transformers makes it."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from webslm.model.architectures import architecture
from webslm.schema import RopeScalingConf, ShapeConf

HALF = 8
"""Pairs of a head of 16."""
WINDOW = 11
FULL, SLIDING = "full_attention", "sliding_attention"


def small(model_type: str, **changes: Any) -> ShapeConf:
    """Return a shape of two layers with changes."""
    values: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 300,
        "max_position_embeddings": 256,
        "attention_bias": False,
        "tie_word_embeddings": False,
    }
    return ShapeConf(model_type=model_type, **{**values, **changes})


LLAMA3 = RopeScalingConf(
    rope_type="llama3", factor=32.0, original_max_position_embeddings=64, high_freq_factor=4.0
)
LONGROPE = RopeScalingConf(
    rope_type="longrope",
    original_max_position_embeddings=64,
    short_factor=[1.0 + 0.1 * i for i in range(HALF)],
    long_factor=[1.0 + 0.9 * i for i in range(HALF)],
)
GEMMA: dict[str, Any] = {
    "tie_word_embeddings": True,
    "hidden_act": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 24,
    "sliding_window": WINDOW,
}
SHAPES = {
    # Llama 2 has as many key heads as query heads, TinyLlama and SmolLM2 groups.
    "llama2": small("llama", num_key_value_heads=4, rms_norm_eps=1e-5),
    "smollm2": small(
        "llama", num_attention_heads=9, num_key_value_heads=3, hidden_size=144,
        tie_word_embeddings=True, rope_theta=100000.0,
    ),
    "llama3": small("llama", rope_scaling=LLAMA3, rope_theta=5e5, tie_word_embeddings=True),
    "llama_bias": small("llama", attention_bias=True),
    "qwen3": small("qwen3", head_dim=32, tie_word_embeddings=True, rope_theta=1e6),
    "qwen2_untied": small("qwen2", attention_bias=True),
    "mistral": small("mistral", sliding_window=WINDOW, rms_norm_eps=1e-5),
    "mistral_full": small("mistral", rope_theta=1e6),
    "gemma2": small(
        "gemma2", layer_types=[SLIDING, FULL], attn_logit_softcapping=5.0,
        final_logit_softcapping=8.0, **GEMMA,
    ),
    "gemma3": small(
        "gemma3_text", layer_types=[SLIDING, FULL], rope_theta=1e6, rope_local_base_freq=1e4,
        num_key_value_heads=1, **GEMMA,
    ),
    "phi3": small("phi3", num_key_value_heads=4, rope_scaling=LONGROPE),
    "phi3_partial": small("phi3", partial_rotary_factor=0.75),
}  # fmt: skip


def random_model(conf: ShapeConf, seed: int = 0) -> Any:
    """Return a random float32 model whose logits spread wide enough to tell tokens apart."""
    torch.manual_seed(seed)
    fields = {
        **architecture(conf.model_type).config(conf),
        "initializer_range": 1.2 * conf.hidden_size**-0.5,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = AutoConfig.for_model(**fields)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            torch.nn.init.normal_(parameter, std=0.2)
        if "embed_tokens" in name:
            # A tied head would else repeat the token before: scaled embeddings outweigh layers.
            torch.nn.init.normal_(parameter, std=0.1)
        if "norm" in name:
            offset = architecture(conf.model_type).style.norm_offset
            torch.nn.init.normal_(parameter, mean=1.0 - offset, std=0.1)
    return model.eval().float()


def changed(conf: ShapeConf, **changes: Any) -> ShapeConf:
    """Return a shape with changes."""
    return dataclasses.replace(conf, **changes)
