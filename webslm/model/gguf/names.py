"""Own which GGUF architecture is which model type, and what each calls its tensors."""

from __future__ import annotations

MODEL_TYPES = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "phi3": "phi3",
}
"""``general.architecture`` to model type; Mistral's files call themselves llama."""
PERMUTED = ("llama", "mistral")
"""Model types whose query and key rows are stored in the order of ggml's rotation."""
GEMMA = ("gemma2", "gemma3_text")
OUTER = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
INNER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
INNER_GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
ROPE_FREQUENCIES = "rope_freqs.weight"
ROPE_SHORT, ROPE_LONG = "rope_factors_short.weight", "rope_factors_long.weight"
ROPE_TENSORS = (ROPE_FREQUENCIES, ROPE_SHORT, ROPE_LONG)
"""Rotation tables; they go into the configuration, not among the weights."""


def gguf_name(name: str, model_type: str) -> str:
    """Return what a GGUF file calls a checkpoint's tensor.

    Args:
        name: As in a checkpoint, such as ``model.layers.0.mlp.up_proj.weight``.
        model_type: Of the checkpoint.
    """
    stem, _, ending = name.rpartition(".")
    if stem in OUTER:
        return f"{OUTER[stem]}.{ending}"
    layer, _, part = stem.removeprefix("model.layers.").partition(".")
    inner = {**INNER, **INNER_GEMMA} if model_type in GEMMA else INNER
    return f"blk.{layer}.{inner[part]}.{ending}"
