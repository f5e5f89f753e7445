"""Own what every decoder shape must satisfy and what follows from it. No TVM."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.basics.errors import ConfigError, Problem
from webslm.basics.limits import positive
from webslm.schema import ShapeConf

POSITIVE = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
)
HEAD_VECTOR = 4
"""Elements of a head that one thread of TVM's attention kernels holds."""
FULL, SLIDING = "full_attention", "sliding_attention"
ACTIVATIONS = ("silu", "gelu_pytorch_tanh")
ROPE_TYPES = ("default", "linear", "llama3", "longrope")
COPY = "copy the value of the checkpoint's config.json"


def window(shape: ShapeConf) -> int | None:
    """Return the window of local layers in tokens; None where it hides nothing."""
    size = shape.sliding_window
    return None if size is None or size >= shape.max_position_embeddings else size


def local_layers(shape: ShapeConf) -> tuple[bool, ...]:
    """Tell for each layer whether it sees a window only."""
    types = shape.layer_types or [SLIDING] * shape.num_hidden_layers
    hides = window(shape) is not None
    return tuple(hides and kind == SLIDING for kind in types)


def check_shape(shape: ShapeConf) -> None:
    """Raise ConfigError with every reason for which a shape cannot be compiled."""
    if found := tuple(problems(shape)):
        raise ConfigError(problems=found)


def problems(shape: ShapeConf) -> Iterator[Problem]:
    """Yield every reason for which a shape cannot be compiled; of wrong numbers, those alone."""
    numbers = tuple(positive("base.shape", shape, POSITIVE))
    heads = () if numbers else tuple(_head_problems(shape))
    yield from numbers or heads or (*_layer_problems(shape), *_rope_problems(shape))


def _head_problems(shape: ShapeConf) -> Iterator[Problem]:
    if shape.num_attention_heads % shape.num_key_value_heads:
        yield (
            f"base.shape: {shape.num_attention_heads} query heads do not share "
            f"{shape.num_key_value_heads} key-value heads evenly",
            "num_attention_heads is a multiple of num_key_value_heads",
        )
    elif shape.head_dim % HEAD_VECTOR:
        yield (
            f"base.shape.head_dim: {shape.head_dim} is not a multiple of {HEAD_VECTOR}",
            "the attention kernels read four values at once",
        )


def _layer_problems(shape: ShapeConf) -> list[Problem]:
    problems: list[Problem] = []
    layers, types = shape.num_hidden_layers, shape.layer_types
    if shape.hidden_act not in ACTIVATIONS:
        problems.append(
            (f"base.shape.hidden_act: no {shape.hidden_act!r}", f"one of {', '.join(ACTIVATIONS)}")
        )
    if types and len(types) != layers:
        problems.append((f"base.shape.layer_types: {len(types)} types for {layers} layers", COPY))
    unknown = sorted(set(types) - {FULL, SLIDING})
    if unknown:
        problems.append((f"base.shape.layer_types: no {', '.join(unknown)}", f"{FULL}, {SLIDING}"))
    if SLIDING in types and shape.sliding_window is None:
        problems.append(("base.shape.sliding_window: missing, but layers slide", COPY))
    for key in ("attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"):
        value = getattr(shape, key)
        if value is not None and value <= 0:
            problems.append((f"base.shape.{key}: {value} is not above zero", COPY))
    if shape.sliding_window is not None and shape.sliding_window < 1:
        problems.append((f"base.shape.sliding_window: {shape.sliding_window} sees nothing", COPY))
    return problems


def _rope_problems(shape: ShapeConf) -> list[Problem]:
    problems: list[Problem] = []
    rotary = shape.head_dim * shape.partial_rotary_factor
    if not 0 < shape.partial_rotary_factor <= 1 or rotary % 2:
        problems.append(
            (
                f"base.shape.partial_rotary_factor: {shape.partial_rotary_factor} of "
                f"{shape.head_dim} is no even part of a head",
                COPY,
            )
        )
    scaling = shape.rope_scaling
    key = "base.shape.rope_scaling"
    if scaling.rope_type not in ROPE_TYPES:
        hint = f"one of {', '.join(ROPE_TYPES)}"
        problems.append((f"{key}.rope_type: no {scaling.rope_type!r}", hint))
    elif scaling.rope_type == "longrope":
        problems += [
            (f"{key}.{name}: not one factor for each of {rotary / 2:g} pairs", COPY)
            for name in ("short_factor", "long_factor")
            if 2 * len(getattr(scaling, name)) != rotary or min(getattr(scaling, name)) <= 0
        ]
    elif scaling.rope_type == "llama3" and scaling.high_freq_factor <= scaling.low_freq_factor:
        problems.append((f"{key}.high_freq_factor: not above low_freq_factor", COPY))
    original = scaling.original_max_position_embeddings
    if original is not None and original < 2:
        problems.append((f"{key}.original_max_position_embeddings: {original} is too few", COPY))
    if scaling.factor <= 0:
        problems.append((f"{key}.factor: {scaling.factor} is not above zero", COPY))
    local = shape.rope_local_base_freq
    if local is not None and local <= 0:
        problems.append((f"base.shape.rope_local_base_freq: {local} is not above zero", COPY))
    return problems
