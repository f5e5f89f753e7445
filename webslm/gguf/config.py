"""Own the way from a GGUF file's metadata to the config.json of the same model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webslm.compiler.architectures.shape import FULL, SLIDING
from webslm.compiler.architectures.support import explain_unsupported
from webslm.errors import ConfigError
from webslm.gguf.header import Header
from webslm.gguf.names import MODEL_TYPES
from webslm.gguf.rope import Read, rope_scaling

MISSING = object()
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
    keys = _Keys(header)
    _check_kind(header)
    _check_neutral(keys)
    config = _sizes(keys, header)
    config |= _FAMILIES.get(header.architecture, _llama)(keys)
    config["rope_scaling"] = rope_scaling(header, keys.get, read)
    _check_rotation(keys, config)
    for name in ("bos", "eos", "pad"):
        key = f"tokenizer.ggml.{'padding' if name == 'pad' else name}_token_id"
        config[f"{name}_token_id"] = header.metadata.get(key)
    return config


class _Keys:
    """Metadata of one architecture."""

    def __init__(self, header: Header) -> None:
        self.header = header

    def get(self, key: str, default: Any = MISSING) -> Any:
        """Return a value; a list that repeats one number is that number."""
        full = f"{self.header.architecture}.{key}"
        value = self.header.metadata.get(full, default)
        if value is MISSING:
            raise ConfigError(f"{self.header.name}: no {full} in its metadata")
        if not isinstance(value, list):
            return value
        if len(set(value)) != 1:
            raise ConfigError(
                f"{self.header.name}: {full} differs between layers",
                hint="only models whose layers have one shape can be compiled",
            )
        return value[0]


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
    if int(found.get("split.count", 1)) > 1:
        raise ConfigError(
            f"{name}: part {int(found.get('split.no', 0)) + 1} of {found['split.count']}",
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


def _check_neutral(keys: _Keys) -> None:
    for key, harmless in NEUTRAL.items():
        value = keys.get(key, harmless[0])
        if value not in harmless:
            raise ConfigError(
                f"{keys.header.name}: {keys.header.architecture}.{key} is {value}: "
                "the library does not compute that",
                hint="take a model without it",
            )


def _sizes(keys: _Keys, header: Header) -> dict[str, Any]:
    heads, hidden = int(keys.get("attention.head_count")), int(keys.get("embedding_length"))
    if not heads:
        raise ConfigError(f"{header.name}: no attention heads")
    head_dim = _head_dim(keys)
    if int(keys.get("attention.value_length", head_dim)) != head_dim:
        raise ConfigError(f"{header.name}: keys and values of different sizes cannot be compiled")
    return {
        "model_type": MODEL_TYPES[header.architecture],
        "hidden_size": hidden,
        "intermediate_size": int(keys.get("feed_forward_length")),
        "num_hidden_layers": int(keys.get("block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(keys.get("attention.head_count_kv", heads)),
        "head_dim": head_dim,
        # The table, not the list of tokens: some publishers leave padding out of the list.
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "max_position_embeddings": int(keys.get("context_length")),
        "rms_norm_eps": _rounded(keys.get("attention.layer_norm_rms_epsilon")),
        "rope_theta": _rounded(keys.get("rope.freq_base", 10000.0)),
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "attention_bias": "blk.0.attn_q.bias" in header.tensors,
        "torch_dtype": "float32",
    }


def _llama(keys: _Keys) -> dict[str, Any]:
    window = int(keys.get("attention.sliding_window", 0))
    if not window:
        return {"hidden_act": "silu"}
    # Mistral 7B v0.1: the same layers, of which llama.cpp lets every one see everything.
    return {"model_type": "mistral", "hidden_act": "silu", "sliding_window": window}


def _silu(keys: _Keys) -> dict[str, Any]:
    del keys
    return {"hidden_act": "silu"}


def _phi3(keys: _Keys) -> dict[str, Any]:
    head = _head_dim(keys)
    return {
        "hidden_act": "silu",
        "sliding_window": int(keys.get("attention.sliding_window", 0)) or None,
        "partial_rotary_factor": int(keys.get("rope.dimension_count", head)) / head,
        "original_max_position_embeddings": int(
            keys.get("rope.scaling.original_context_length", keys.get("context_length"))
        ),
    }


def _gemma2(keys: _Keys) -> dict[str, Any]:
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "attn_logit_softcapping": float(keys.get("attn_logit_softcapping", 50.0)),
        "final_logit_softcapping": float(keys.get("final_logit_softcapping", 30.0)),
        "sliding_window": int(keys.get("attention.sliding_window", 4096)),
        "query_pre_attn_scalar": _query_scale(keys),
        "layer_types": _layer_types(keys, 2),
    }


def _gemma3(keys: _Keys) -> dict[str, Any]:
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "attn_logit_softcapping": float(keys.get("attn_logit_softcapping", 0.0)) or None,
        "final_logit_softcapping": float(keys.get("final_logit_softcapping", 0.0)) or None,
        "rope_theta": _rounded(keys.get("rope.freq_base", 1000000.0)),
        "rope_local_base_freq": _rounded(keys.get("rope.freq_base_swa", 10000.0)),
        "sliding_window": int(keys.get("attention.sliding_window")),
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


def _query_scale(keys: _Keys) -> int:
    hidden, heads = int(keys.get("embedding_length")), int(keys.get("attention.head_count"))
    if int(keys.get("block_count")) == QUERY_SCALE_BY_WIDTH[keys.header.architecture]:
        return hidden // heads
    return _head_dim(keys)


def _head_dim(keys: _Keys) -> int:
    hidden, heads = int(keys.get("embedding_length")), int(keys.get("attention.head_count"))
    return int(keys.get("attention.key_length", hidden // heads))


def _layer_types(keys: _Keys, period: int) -> list[str]:
    """Return each layer's kind: told layer by layer, by a period, or by the family's."""
    key = f"{keys.header.architecture}.attention.sliding_window_pattern"
    told: Any = keys.header.metadata.get(key, period)
    if isinstance(told, list):
        return [SLIDING if slides else FULL for slides in told]
    layers = range(1, int(keys.get("block_count")) + 1)
    return [SLIDING if layer % int(told) else FULL for layer in layers]


def _check_rotation(keys: _Keys, config: Mapping[str, Any]) -> None:
    head = int(config["head_dim"])
    rotated = int(keys.get("rope.dimension_count", head))
    if rotated != head and config["model_type"] != "phi3":
        raise ConfigError(
            f"{keys.header.name}: {rotated} of a head's {head} numbers are rotated; "
            "the library rotates all",
            hint="take a model without it",
        )


def _rounded(value: float) -> float:
    """Return a float32 as the decimal number that somebody wrote: 1e-5, not 9.99999974e-06."""
    return float(f"{value:.7g}")
