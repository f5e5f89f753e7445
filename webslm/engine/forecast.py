"""Own what a build will cost: time and memory of the nearest past run, and what it downloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webslm.engine.explain import nearest
from webslm.engine.look import Planned
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Cache
from webslm.model.gguf import wheel
from webslm.schema import BaseSource, BaseStageConf, BundleStageConf, ShapeConf

BYTES_PER_PARAMETER = 2
"""Checkpoints on the hub hold 16-bit weights."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What one step will do; times and memory are those of the nearest stored run."""

    status: str
    """hit, fetch, run or forced."""
    seconds: float | None = None
    peak_rss_bytes: int | None = None
    download_bytes: int = 0
    download: str = ""


def forecast(planned: Sequence[Planned], cache: Cache) -> dict[str, Forecast]:
    """Return what each step will do, by stage; nothing is run and nothing is fetched.

    Args:
        planned: The plan.
        cache: This machine's store, which records what past runs took.
    """
    return {each.step.stage: _one(each, cache) for each in planned}


def _one(planned: Planned, cache: Cache) -> Forecast:
    step = planned.step
    if not planned.runs:
        if planned.size is None:
            return Forecast(status="hit")
        return Forecast(status="fetch", download_bytes=planned.size, download="shared store")
    past = nearest(step, cache)
    size, what = _download(step, cache)
    return Forecast(
        status="forced" if planned.forced else "run",
        seconds=None if past is None else past.seconds,
        peak_rss_bytes=None if past is None else past.peak_rss_bytes,
        download_bytes=size,
        download=what,
    )


def _download(step: Step, cache: Cache) -> tuple[int, str]:
    conf = step.conf
    if isinstance(conf, BaseStageConf) and conf.base.source is BaseSource.hub:
        hub = conf.base.hub
        name = hub.id or ""
        kept = cache.root / "tools" / "hub" / f"models--{name.replace('/', '--')}" / "snapshots"
        if (kept / (hub.revision or "")).is_dir():
            return 0, ""
        return parameter_count(conf.base.shape) * BYTES_PER_PARAMETER, name
    if isinstance(conf, BaseStageConf) and conf.base.source is BaseSource.wheel:
        pinned = conf.base.wheel
        if wheel.kept(pinned, cache.root) is None:
            return pinned.bytes, f"{pinned.name} {pinned.version}"
    if isinstance(conf, BundleStageConf):
        packages = (cache.root / "tools" / "npm").glob(f"web-llm-{conf.runtime.web_llm}-*")
        if next(packages, None) is None:
            return 0, f"web-llm {conf.runtime.web_llm}"
    return 0, ""


def parameter_count(shape: ShapeConf) -> int:
    """Return the number of weights of a decoder with gated MLPs, biases and norms left out."""
    attention = shape.num_attention_heads + shape.num_key_value_heads
    layer = 2 * shape.hidden_size * shape.head_dim * attention
    layer += 3 * shape.hidden_size * shape.intermediate_size
    embeddings = 1 if shape.tie_word_embeddings else 2
    vocabulary = embeddings * shape.vocab_size * shape.hidden_size
    return vocabulary + shape.num_hidden_layers * layer
