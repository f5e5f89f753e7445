"""Own the way from a GGUF file's metadata to the config.json of the same model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.model.architectures.shape import FULL, SLIDING
from webslm.model.architectures.support import explain_unsupported
from webslm.model.gguf.header import Header
from webslm.model.gguf.keys import Keys
from webslm.model.gguf.names import MODEL_TYPES
from webslm.model.gguf.rope import Read, rope_scaling
from webslm.model.gguf.vocabulary import read_special

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "attention.scale": (0.0,),
    "embedding_scale": (0.0, 1.0),
    "logit_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "use_parallel_residual": (False,),
}
"""Keys that change what a model computes, and the values that change nothing."""
QUERY_SCALE_BY_WIDTH = {"gemma2": 46, "gemma3": 62}
"""Layers of the models (27B) that scale scores by hidden size / heads; others by head size."""


def to_config(header: Header, read: Read) -> dict[str, Any]:
    """Return the config.json of the model in a file.

    Args:
        header: Of the file.
        read: Returns (offset, count) bytes of the file; for small tables among the tensors.

    Raises:
        ConfigError: Names the architecture, the key or the part that cannot be.
    """
    keys = Keys(header)
    _check_kind(header)
    _check_neutral(keys)
    config = _sizes(keys, header)
    config |= _FAMILIES[header.architecture](keys)
    config["rope_scaling"] = rope_scaling(keys, read)
    _check_rotation(keys, config)
    special = read_special(header.metadata, int(config["vocab_size"]))
    config |= {f"{name}_token_id": special.get(name) for name in ("bos", "eos", "pad")}
    return config


def _check_kind(header: Header) -> None:
    """Refuse what is no whole language model, by what the file calls itself."""
    name, found = header.name, header.metadata
    kind = str(found.get("general.type", "model"))
    if kind == "adapter":
        raise ConfigError(
            f"{name}: an adapter, not a model", hint="take the model; finetune=adapter for LoRA"
        )
    if kind in ("mmproj", "projector") or header.architecture == "clip":
        raise ConfigError(
            f"{name}: the part that reads images (mmproj), not a language model",
            hint="take the model's other file, without mmproj in its name",
        )
    if kind != "model":
        raise ConfigError(f"{name}: general.type {kind!r}, not a model")
    parts, part = found.get("split.count", 1), found.get("split.no", 0)
    if parts not in (0, 1):
        raise ConfigError(
            f"{name}: one of {parts} parts (split.no {part})",
            hint="join the parts first: llama-gguf-split --merge FIRST.gguf WHOLE.gguf",
        )
    if header.architecture not in MODEL_TYPES:
        _, nearest = explain_unsupported({"model_type": header.architecture}) or ("", None)
        raise ConfigError(
            f"{name}: architecture {header.architecture!r} cannot be compiled", hint=nearest
        )
    experts = found.get(f"{header.architecture}.expert_count", 0)
    if experts:
        raise ConfigError(
            f"{name}: {experts} experts in each layer; mixtures of experts cannot be compiled",
            hint="take a dense model",
        )
    if "token_embd.weight" not in header.tensors:
        what = "a vocabulary without weights" if not header.tensors else "no token_embd.weight"
        raise ConfigError(f"{name}: {what}", hint="take the model's whole file")


def _check_neutral(keys: Keys) -> None:
    for key, harmless in NEUTRAL.items():
        value = keys.get(key, harmless[0])
        if value not in harmless:
            raise ConfigError(
                f"{keys.header.name}: {keys.header.architecture}.{key} is {value}: "
                "the library does not compute that",
                hint="take a model without it",
            )


def _sizes(keys: Keys, header: Header) -> dict[str, Any]:
    heads, head_dim = keys.count("attention.head_count"), _head_dim(keys)
    if keys.count("attention.value_length", head_dim) != head_dim:
        raise ConfigError(
            f"{header.name}: keys and values of different sizes cannot be compiled",
            hint="take a model without it",
        )
    layers = keys.count("block_count")
    if layers > len(header.tensors):
        raise keys.wrong("block_count", layers)
    return {
        "model_type": MODEL_TYPES[header.architecture],
        "hidden_size": keys.count("embedding_length"),
        "intermediate_size": keys.count("feed_forward_length"),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys.count("attention.head_count_kv", heads),
        "head_dim": head_dim,
        # The table, not the list of tokens: some publishers leave padding out of the list.
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "max_position_embeddings": keys.count("context_length"),
        "rms_norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": keys.number("rope.freq_base", 10000.0),
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "attention_bias": "blk.0.attn_q.bias" in header.tensors,
        "torch_dtype": "float32",
    }


def _llama(keys: Keys) -> dict[str, Any]:
    window = keys.count("attention.sliding_window", 0, least=0)
    if not window:
        return {"hidden_act": "silu"}
    # Mistral 7B v0.1: the same layers, of which llama.cpp lets every one see everything.
    return {"model_type": "mistral", "hidden_act": "silu", "sliding_window": window}


def _silu(keys: Keys) -> dict[str, Any]:
    del keys
    return {"hidden_act": "silu"}


def _phi3(keys: Keys) -> dict[str, Any]:
    head, length = _head_dim(keys), keys.count("context_length")
    return {
        "hidden_act": "silu",
        "sliding_window": keys.count("attention.sliding_window", 0, least=0) or None,
        "partial_rotary_factor": keys.count("rope.dimension_count", head) / head,
        "original_max_position_embeddings": keys.count(
            "rope.scaling.original_context_length", length
        ),
    }


def _gemma2(keys: Keys) -> dict[str, Any]:
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "attn_logit_softcapping": keys.number("attn_logit_softcapping", 50.0),
        "final_logit_softcapping": keys.number("final_logit_softcapping", 30.0),
        "sliding_window": keys.count("attention.sliding_window", 4096),
        "query_pre_attn_scalar": _query_scale(keys),
        "layer_types": _layer_types(keys, 2),
    }


def _gemma3(keys: Keys) -> dict[str, Any]:
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "attn_logit_softcapping": keys.number("attn_logit_softcapping", 0.0) or None,
        "final_logit_softcapping": keys.number("final_logit_softcapping", 0.0) or None,
        "rope_theta": keys.number("rope.freq_base", 1000000.0),
        "rope_local_base_freq": keys.number("rope.freq_base_swa", 10000.0),
        "sliding_window": keys.count("attention.sliding_window"),
        "query_pre_attn_scalar": _query_scale(keys),
        "layer_types": _layer_types(keys, 6),
    }


_FAMILIES = {
    "llama": _llama,
    "qwen2": _silu,
    "qwen3": _silu,
    "phi3": _phi3,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
}


def _query_scale(keys: Keys) -> int:
    hidden, heads = keys.count("embedding_length"), keys.count("attention.head_count")
    if keys.count("block_count") == QUERY_SCALE_BY_WIDTH[keys.header.architecture]:
        return hidden // heads
    return _head_dim(keys)


def _head_dim(keys: Keys) -> int:
    hidden, heads = keys.count("embedding_length"), keys.count("attention.head_count")
    return keys.count("attention.key_length", hidden // heads)


def _layer_types(keys: Keys, period: int) -> list[str]:
    """Return each layer's kind: told layer by layer, by a period, or by the family's."""
    key = "attention.sliding_window_pattern"
    told: Any = keys.header.metadata.get(f"{keys.header.architecture}.{key}", period)
    count = keys.count("block_count")
    if not isinstance(told, list):
        step = keys.count(key, period)
        return [SLIDING if layer % step else FULL for layer in range(1, count + 1)]
    if len(told) != count:
        raise keys.wrong(key, told)
    return [SLIDING if slides else FULL for slides in told]


def _check_rotation(keys: Keys, config: Mapping[str, Any]) -> None:
    head = int(config["head_dim"])
    rotated = keys.count("rope.dimension_count", head)
    if rotated != head and config["model_type"] != "phi3":
        raise ConfigError(
            f"{keys.header.name}: {rotated} of a head's {head} numbers are rotated; "
            "the library rotates all",
            hint="take a model without it",
        )
