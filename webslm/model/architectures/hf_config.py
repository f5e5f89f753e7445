"""Own the way between a config.json of transformers 4 or 5 and a shape. No TVM."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from webslm.basics.errors import ConfigError
from webslm.model.architectures.fields import count, flag, inner, listed, name, real, whole
from webslm.model.architectures.shape import FULL, SLIDING
from webslm.schema import RopeScalingConf, ShapeConf

REQUIRED = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "max_position_embeddings",
)
DEFAULTS: dict[str, Any] = {
    "attention_bias": False,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
NEEDED_FACTORS = {
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}
"""What a kind of scaling cannot do without."""
ROPE_FLOATS = ("factor", "low_freq_factor", "high_freq_factor")
LayerTypes = Callable[[Mapping[str, Any]], list[str]]


class Family(Protocol):
    """What of an architecture says how its config.json reads; ``decoder.Decoder`` has it."""

    @property
    def model_type(self) -> str:
        """As in a config.json."""

    @property
    def causal_lm(self) -> str:
        """The class that transformers writes."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a key left out means."""

    @property
    def fixed(self) -> Mapping[str, Any]:
        """What holds whatever a config.json says."""

    @property
    def layer_types(self) -> LayerTypes:
        """Names each layer's attention."""

    @property
    def activation_key(self) -> str:
        """The key of the activation."""


def uniform(config: Mapping[str, Any]) -> list[str]:
    """Name no layers: all slide where there is a window."""
    del config
    return []


def every(period: int) -> LayerTypes:
    """Return the rule by which each ``period``-th layer is full and the others slide."""

    def types(config: Mapping[str, Any]) -> list[str]:
        given = config.get("sliding_window_pattern") is not None
        step = count(config, "sliding_window_pattern") if given else period
        layers = range(1, count(config, "num_hidden_layers") + 1)
        return [SLIDING if layer % step else FULL for layer in layers]

    return types


def above_first(config: Mapping[str, Any]) -> list[str]:
    """Name the layers of Qwen: those from ``max_window_layers`` on slide, if any do."""
    if not config.get("use_sliding_window"):
        return []
    first = whole({"max_window_layers": 28, **config}, "max_window_layers")
    layers = range(count(config, "num_hidden_layers"))
    return [SLIDING if layer >= first else FULL for layer in layers]


def _completed(family: Family, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config.json says, with what its family means where it says nothing."""
    given = _given(config)
    missing = [key for key in REQUIRED if key not in given]
    if missing:
        raise ConfigError(
            f"config.json: no {', '.join(missing)}",
            hint=f'write "{missing[0]}" as the publisher has it into config.json',
        )
    known = {**DEFAULTS, **family.defaults, **given, **family.fixed}
    if "sliding_window" in config and config["sliding_window"] is None:
        known["sliding_window"] = None
    return known


def to_shape(family: Family, config: Mapping[str, Any]) -> ShapeConf:
    """Return the shape that a config.json describes.

    Raises:
        ConfigError: A size or a factor is missing, or a value is none of its key's.
    """
    known = _completed(family, config)
    sizes = {key: count(known, key) for key in REQUIRED}
    heads = sizes["num_attention_heads"]
    derived = {"num_key_value_heads": heads, "head_dim": sizes["hidden_size"] // heads}
    slides = flag({"use_sliding_window": True, **known}, "use_sliding_window")
    windowed = _integer(known, "sliding_window") if slides else None
    types = listed(known, "layer_types", str) or family.layer_types(known)
    if set(types) == {FULL}:
        types, windowed = [], None
    rope, local = rope_parts(config)
    local_base = local if local.get("rope_theta") is not None else known
    return ShapeConf(
        model_type=family.model_type,
        **sizes,
        **{key: count({**derived, **known}, key) for key in derived},
        rms_norm_eps=real(known, "rms_norm_eps"),
        rope_theta=real({**known, **_given(rope)}, "rope_theta"),
        tie_word_embeddings=flag(known, "tie_word_embeddings"),
        attention_bias=flag(known, "attention_bias"),
        hidden_act=activation(family, known),
        rope_scaling=scaling(rope, config),
        rope_local_base_freq=_number(
            local_base, "rope_theta" if local_base is local else "rope_local_base_freq"
        ),
        partial_rotary_factor=real(
            {"partial_rotary_factor": 1.0, **known, **_given(rope)}, "partial_rotary_factor"
        ),
        sliding_window=windowed,
        layer_types=types if SLIDING in types else [],
        attn_logit_softcapping=_number(known, "attn_logit_softcapping"),
        final_logit_softcapping=_number(known, "final_logit_softcapping"),
        query_pre_attn_scalar=_integer(known, "query_pre_attn_scalar"),
    )


def to_config(family: Family, shape: ShapeConf) -> dict[str, Any]:
    """Return the config.json of a shape, in the spelling of transformers 4."""
    fields = dataclasses.asdict(shape)
    result = {key: value for key, value in fields.items() if value not in (None, [])}
    result |= {
        "architectures": [family.causal_lm],
        "rope_scaling": _spelled(shape.rope_scaling),
        "sliding_window": shape.sliding_window,
        "use_sliding_window": shape.sliding_window is not None,
    }
    if family.activation_key != "hidden_act":
        result[family.activation_key] = result.pop("hidden_act")
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        # Left out, these would mean the family's own numbers.
        if key in family.defaults:
            result[key] = fields[key]
    if shape.rope_scaling.original_max_position_embeddings:
        known = shape.rope_scaling.original_max_position_embeddings
        result["original_max_position_embeddings"] = known
    return result


def activation(family: Family, known: Mapping[str, Any]) -> str:
    """Return the activation by its one name."""
    key = family.activation_key if known.get(family.activation_key) else "hidden_act"
    found = name({"hidden_act": "silu", **_given(known)}, key)
    return {"swish": "silu"}.get(found, found)


def rope_parts(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rotary parameters of either spelling: of all or full layers, of local layers."""
    merged: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        merged.update(inner(config, key))
    if FULL in merged or SLIDING in merged:
        return inner(merged, FULL), inner(merged, SLIDING)
    return merged, {}


def rope_type(rope: Mapping[str, Any]) -> str:
    """Return the kind of scaling by its one name."""
    key = "rope_type" if rope.get("rope_type") else "type"
    kind = name({"type": "default", **_given(rope)}, key)
    return {"su": "longrope"}.get(kind, kind)


def scaling(rope: Mapping[str, Any], config: Mapping[str, Any]) -> RopeScalingConf:
    """Return the scaling of rotary parameters."""
    kind = rope_type(rope)
    if kind == "default":
        return RopeScalingConf()
    key = "original_max_position_embeddings"
    needed = NEEDED_FACTORS.get(kind, ())
    if missing := [name for name in needed if rope.get(name) is None]:
        raise ConfigError(
            f"config.json: rotation by {kind} has no {', '.join(missing)}",
            hint=f'write "{missing[0]}" as the publisher has it beside "rope_type"',
        )
    original = rope.get(key) or config.get(key)
    if original is None and kind == "llama3":
        original = config.get("max_position_embeddings")
    found = {name: real(rope, name) for name in ROPE_FLOATS if rope.get(name) is not None}
    return RopeScalingConf(
        rope_type=kind,
        **found,
        original_max_position_embeddings=_integer({key: original}, key),
        short_factor=_floats(rope, "short_factor"),
        long_factor=_floats(rope, "long_factor"),
        attention_factor=_number(rope, "attention_factor"),
    )


def _spelled(conf: RopeScalingConf) -> dict[str, Any] | None:
    if conf.rope_type == "default":
        return None
    fields = dataclasses.asdict(conf)
    kept = {"rope_type", "original_max_position_embeddings"}
    if conf.rope_type == "llama3":
        kept |= set(ROPE_FLOATS)
    elif conf.rope_type == "longrope":
        kept |= {"short_factor", "long_factor", "attention_factor"}
    if conf.factor != 1.0 or conf.rope_type == "linear":
        kept.add("factor")
    return {key: fields[key] for key in fields if key in kept and fields[key] is not None}


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if value is not None}


def _number(config: Mapping[str, Any], key: str) -> float | None:
    return None if config.get(key) is None else real(config, key)


def _integer(config: Mapping[str, Any], key: str) -> int | None:
    return None if config.get(key) is None else whole(config, key)


def _floats(config: Mapping[str, Any], key: str) -> list[float]:
    found = listed(config, key, (int, float))
    return [real({key: value}, key) for value in found]
