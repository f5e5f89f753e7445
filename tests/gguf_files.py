"""Small GGUF files of every layout, written with the gguf wheel's own writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf.quants import quantize

from tests.integration.architecture_models import SHAPES
from webslm.model.architectures.rope import rope_table
from webslm.schema import RopeScalingConf, ShapeConf

TEMPLATE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA3 = RopeScalingConf(
    rope_type="llama3", factor=8.0, original_max_position_embeddings=8192, high_freq_factor=4.0
)
LONGROPE = RopeScalingConf(
    rope_type="longrope",
    original_max_position_embeddings=64,
    short_factor=[1.0 + i / 8 for i in range(8)],
    long_factor=[1.0 + i for i in range(8)],
)
LAYOUTS: dict[str, ShapeConf] = {
    **{name: SHAPES[name] for name in ("llama2", "smollm2", "llama_bias", "qwen3", "mistral")},
    **{name: SHAPES[name] for name in ("qwen2_untied", "phi3_partial")},
    "phi3": replace(SHAPES["phi3"], rope_scaling=LONGROPE),
    "llama3": replace(SHAPES["llama3"], rope_scaling=LLAMA3, max_position_embeddings=16384),
    "linear": replace(SHAPES["llama2"], rope_scaling=RopeScalingConf("linear", factor=4.0)),
    "gemma2": replace(SHAPES["gemma2"], query_pre_attn_scalar=16),
    "gemma3": replace(SHAPES["gemma3"], query_pre_attn_scalar=16),
}
ARCHITECTURES = {"gemma3_text": "gemma3", "mistral": "llama"}
NAMES = {
    "embed_tokens": "token_embd", "lm_head": "output", "model.norm": "output_norm",
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "qkv_proj": "attn_qkv",
    "o_proj": "attn_output", "q_norm": "attn_q_norm", "k_norm": "attn_k_norm",
    "gate_proj": "ffn_gate", "up_proj": "ffn_up", "gate_up_proj": "ffn_up",
    "down_proj": "ffn_down", "input_layernorm": "attn_norm",
}  # fmt: skip


@dataclass
class Parts:
    """What a file is written from; tests change a part and see what becomes of it."""

    metadata: dict[str, Any]
    tensors: dict[str, np.ndarray[Any, Any]]
    kinds: dict[str, Kind] = field(default_factory=dict)
    """Storage types of the tensors that are given as raw blocks."""


def byte_level() -> dict[str, Any]:
    """Return a vocabulary of 300: special tokens, an alphabet of bytes, some merges."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = ["t h", "th e", "i n", "Ġ the", "Ġ a", "1 2", "Ġ Ġ"]
    made = [merge.replace(" ", "", 1) for merge in merges]
    tokens = [*SPECIAL, *alphabet, *made]
    padded = [*tokens, *(f"[PAD{index}]" for index in range(len(tokens), 300))]
    types = [3] * 3 + [1] * (len(tokens) - 3) + [5] * (300 - len(tokens))
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": padded,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def parts(model: Any, shape: ShapeConf) -> Parts:
    """Return the parts of the file that llama.cpp's converter would write of a model."""
    arch = ARCHITECTURES.get(shape.model_type, shape.model_type)
    metadata: dict[str, Any] = {
        "general.architecture": arch,
        "general.name": "Small",
        "general.license": "apache-2.0",
        **{f"{arch}.{key}": value for key, value in _sizes(shape).items() if value is not None},
        **byte_level(),
    }
    tensors = {}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and shape.tie_word_embeddings:
            continue
        called = _called(name, shape.model_type)
        rows = value.float().numpy()
        if shape.model_type in ("llama", "mistral") and (
            "attn_q." in called or "attn_k." in called
        ):
            rows = _permuted(rows, shape.head_dim)
        if shape.model_type.startswith("gemma") and "norm" in called:
            rows = rows + np.float32(1)
        tensors[called] = np.ascontiguousarray(rows)
    tensors |= _rope_tables(shape)
    return Parts(metadata=metadata, tensors=tensors)


def write(path: Path, made: Parts) -> Path:
    """Write a file with the wheel's writer."""
    writer = gguf.GGUFWriter(path, made.metadata["general.architecture"])
    for key, value in made.metadata.items():
        _add(writer, key, value)
    for name, value in made.tensors.items():
        kind = made.kinds.get(name)
        writer.add_tensor(name, value, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def stored_as(made: Parts, kind: Kind) -> Parts:
    """Return the parts with every matrix stored as ``kind``."""
    kinds = {n: kind for n, v in made.tensors.items() if v.ndim > 1}
    tensors = {n: quantize(v, kind) if n in kinds else v for n, v in made.tensors.items()}
    return Parts(metadata=made.metadata, tensors=tensors, kinds=kinds)


def _sizes(shape: ShapeConf) -> Mapping[str, Any]:
    scaling = shape.rope_scaling
    rotary = int(shape.head_dim * shape.partial_rotary_factor)
    slides = [kind == "sliding_attention" for kind in shape.layer_types]
    return {
        "context_length": shape.max_position_embeddings,
        "embedding_length": shape.hidden_size,
        "block_count": shape.num_hidden_layers,
        "feed_forward_length": shape.intermediate_size,
        "attention.head_count": shape.num_attention_heads,
        "attention.head_count_kv": shape.num_key_value_heads,
        "attention.key_length": shape.head_dim,
        "attention.value_length": shape.head_dim,
        "attention.layer_norm_rms_epsilon": shape.rms_norm_eps,
        "attention.sliding_window": shape.sliding_window,
        "attention.sliding_window_pattern": slides or None,
        "rope.dimension_count": rotary,
        "rope.freq_base": shape.rope_theta,
        "rope.scaling.type": "linear" if scaling.rope_type == "linear" else None,
        "rope.scaling.factor": scaling.factor if scaling.rope_type == "linear" else None,
        "rope.scaling.original_context_length": (
            scaling.original_max_position_embeddings if scaling.long_factor else None
        ),
        "attn_logit_softcapping": shape.attn_logit_softcapping,
        "final_logit_softcapping": shape.final_logit_softcapping,
    }


def _rope_tables(shape: ShapeConf) -> dict[str, np.ndarray[Any, Any]]:
    scaling = shape.rope_scaling
    if scaling.rope_type == "longrope":
        return {
            "rope_factors_short.weight": np.array(scaling.short_factor, np.float32),
            "rope_factors_long.weight": np.array(scaling.long_factor, np.float32),
        }
    if scaling.rope_type != "llama3":
        return {}
    plain = rope_table(replace(shape, rope_scaling=RopeScalingConf())).frequencies[0]
    return {"rope_freqs.weight": plain / rope_table(shape).frequencies[0]}


def _called(name: str, model_type: str) -> str:
    stem, _, ending = name.rpartition(".")
    if stem == "model.norm":
        return f"output_norm.{ending}"
    last = stem.rpartition(".")[2]
    gemma = model_type.startswith("gemma")
    inner = {
        **NAMES,
        "post_attention_layernorm": "post_attention_norm" if gemma else "ffn_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    }[last]
    layer = stem.split(".")[2] if ".layers." in stem else None
    return f"{inner}.{ending}" if layer is None else f"blk.{layer}.{inner}.{ending}"


def _permuted(rows: np.ndarray[Any, Any], head_dim: int) -> np.ndarray[Any, Any]:
    """Put a head's halves into pairs, as ggml rotates them."""
    heads = rows.shape[0] // head_dim
    return rows.reshape(heads, 2, head_dim // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _add(writer: Any, key: str, value: Any) -> None:
    if key == "general.architecture":
        return
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
