"""Own the sentence that a model gets which cannot be compiled. No TVM, no hub.

It says what is missing and which supported family is nearest, from a config.json alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webslm.model.architectures import ARCHITECTURES
from webslm.model.architectures.decoder import Decoder
from webslm.model.architectures.fields import inner, listed
from webslm.model.architectures.hf_config import activation, rope_parts, rope_type
from webslm.model.architectures.shape import ACTIVATIONS, FULL, ROPE_TYPES, SLIDING

EXAMPLES = {
    "llama": "Llama 2 and 3, TinyLlama, SmolLM2",
    "qwen2": "Qwen2, Qwen2.5",
    "qwen3": "Qwen3",
    "mistral": "Mistral 7B",
    "gemma2": "Gemma 2",
    "gemma3_text": "Gemma 3, text",
    "phi3": "Phi-3, Phi-3.5-mini",
}
"""What people call the models of a type."""
NEAREST = {
    "gemma": "gemma2",
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3_text",
    "gemma4": "gemma3_text",
    "granite": "llama",
    "llama4": "llama",
    "ministral": "mistral",
    "mixtral": "mistral",
    "mllama": "llama",
    "olmo2": "llama",
    "phi": "phi3",
    "phimoe": "phi3",
    "smollm3": "llama",
    "stablelm": "llama",
}
"""Relatives whose names do not tell; others are found by their names."""
MISSING_PARTS = {
    "experts": ("num_experts", "num_local_experts", "n_routed_experts"),
    "images or sound": ("vision_config", "audio_config"),
    "state-space layers": ("ssm_cfg", "state_size", "mamba_d_state", "linear_num_key_heads"),
    "an encoder": ("is_encoder_decoder", "encoder_layers"),
    "latent attention": ("kv_lora_rank",),
}
"""What no library here computes, by keys that give it away."""
QUANTIZED = {
    "quantization_config": "no method named",
    "compression_config": "compressed-tensors",
    "quantization": "MLX",
}
"""Keys of a config.json whose weights are not whole, and who writes them."""
WHOLE = (
    "take the original checkpoint, in float32, float16 or bfloat16; if its tensors are whole "
    "again, take that key out of config.json"
)


def explain_unsupported(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return why a model cannot be compiled and what can, or None when nothing speaks against it.

    Args:
        config: A config.json of either transformers spelling.

    Raises:
        ConfigError: A value has a type that its key cannot have.
    """
    model_type = str(config.get("model_type"))
    family = ARCHITECTURES.get(model_type)
    missing = [part for part, keys in MISSING_PARTS.items() if any(config.get(k) for k in keys)]
    if family is None:
        why = f", which needs {_joined(missing)}" if missing else ""
        return f"model_type {model_type!r} cannot be compiled{why}", _nearest(model_type)
    if (found := quantized_by(config)) is not None:
        return f"{found[0]}: these weights are quantized already ({found[1]})", WHOLE
    missing += _missing_in(family, config)
    if not missing:
        return None
    hint = f"choose a base without it, or another of {_listed()}"
    return f"the library cannot compute {', '.join(missing)}", hint


def quantized_by(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the key by which a config.json says that its weights are quantized, and by what."""
    for key, author in QUANTIZED.items():
        found = config.get(key)
        if not found:
            continue
        told = found if isinstance(found, dict) else {}
        bits = next((told[name] for name in ("bits", "w_bit", "nbits") if told.get(name)), None)
        bits = next((b for b in (4, 8) if told.get(f"load_in_{b}bit")), bits)
        kind = told.get("bnb_4bit_quant_type") if bits == 4 else None
        parts = (told.get("quant_method") or author, kind or (f"{bits} bits" if bits else None))
        return key, ", ".join(str(part) for part in parts if part)
    return None


def _missing_in(family: Decoder, config: Mapping[str, Any]) -> Iterator[str]:
    known = {**family.defaults, **{k: v for k, v in config.items() if v is not None}}
    for part in rope_parts(config):
        kind = rope_type(part)
        if kind not in ROPE_TYPES:
            yield f"rope_type {kind!r}"
    apart = {FULL, SLIDING} & {*inner(known, "rope_scaling"), *inner(known, "rope_parameters")}
    if apart and "rope_local_base_freq" not in family.defaults:
        yield "a rotation of each kind of layer"
    if family.style.head_norms and rope_type(rope_parts(config)[0]) == "longrope":
        yield "rope_type 'longrope' with normalised heads"
    if rope_type(rope_parts(config)[1]) != "default":
        yield "scaled rotation of local layers"
    if activation(family, known) not in ACTIVATIONS:
        yield f"hidden_act {activation(family, known)!r}"
    unknown = sorted(set(listed(known, "layer_types", str)) - {FULL, SLIDING})
    if unknown:
        yield f"layer_types {', '.join(unknown)}"
    for key in ("mlp_bias", "use_bidirectional_attention"):
        if known.get(key):
            yield key


def _nearest(model_type: str) -> str:
    stems = [name for name in ARCHITECTURES if model_type.startswith(name)]
    found = NEAREST.get(model_type) or next(iter(stems), None)
    if found is None:
        return f"supported: {_listed()}"
    return f"the nearest supported type is {found} ({EXAMPLES[found]}); all: {_listed()}"


def _listed() -> str:
    return ", ".join(sorted(ARCHITECTURES))


def _joined(parts: list[str]) -> str:
    return " and ".join(parts)
