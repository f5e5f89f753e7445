"""Own what every decoder shape must satisfy, whatever its model type. No TVM."""

from __future__ import annotations

from webslm.errors import ConfigError
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
)
HEAD_VECTOR = 4
"""Elements of a head that one thread of TVM's attention kernels holds."""
MAX_THREADS = 256


def check_shape(shape: ShapeConf) -> None:
    """Raise ConfigError with every reason for which a shape cannot be compiled."""
    problems: list[tuple[str, str | None]] = [
        (f"base.shape.{key}: {getattr(shape, key)} is not above zero", None)
        for key in POSITIVE
        if getattr(shape, key) < 1
    ]
    if not problems:
        problems = _head_problems(shape)
    if problems:
        raise ConfigError(problems=tuple(problems))


def _head_problems(shape: ShapeConf) -> list[tuple[str, str | None]]:
    heads, kv_heads, dim = shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim
    if heads % kv_heads:
        return [
            (
                f"base.shape.num_key_value_heads: {kv_heads} does not divide "
                f"num_attention_heads {heads}",
                None,
            )
        ]
    if dim % HEAD_VECTOR:
        return [(f"base.shape.head_dim: {dim} is not a multiple of {HEAD_VECTOR}", None)]
    if not _group_fits(heads // kv_heads, dim // HEAD_VECTOR):
        return [
            (
                f"base.shape: {heads // kv_heads} query heads per key head of head_dim {dim} "
                f"cannot be split over {MAX_THREADS} threads",
                "TVM's decode kernel would leave heads out silently",
            )
        ]
    return []


def _group_fits(group: int, threads: int) -> bool:
    """Tell whether TVM's decode kernel covers a whole group: it halves until a block holds it."""
    part = group
    while part * threads > MAX_THREADS and part > 1:
        part //= 2
    return group % part == 0
