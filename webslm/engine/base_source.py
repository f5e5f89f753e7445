"""Own the choice between a base's hub and its wheel, made before a build is planned."""

from __future__ import annotations

from dataclasses import replace

from webslm.engine.look import Stores
from webslm.engine.plan import plan
from webslm.schema import BaseSource, Config, Weights

PROBE_S = 5.0
"""Seconds the hub has to answer."""


def either(cfg: Config) -> list[Config]:
    """Return the builds that ``base.source=auto`` stands for; of another source the build itself.

    The hub comes first.
    """
    if cfg.base.source is not BaseSource.auto:
        return [cfg]
    sources = [BaseSource.hub]
    # Random weights need no file of either.
    if cfg.base.weights is Weights.checkpoint:
        sources.append(BaseSource.wheel)
    return [replace(cfg, base=replace(cfg.base, source=source)) for source in sources]


def settle(cfg: Config, stores: Stores) -> tuple[Config, str | None]:
    """Return the build with a source of its own, and a sentence when it is the wheel.

    What is stored decides first, so that a build that was made is a build of hits, with and
    without a network; then whether the hub answers.
    """
    choices = either(cfg)
    if len(choices) == 1:
        return choices[0], None
    hub, wheel = choices
    if _stored(hub, stores):
        return hub, None
    if _stored(wheel, stores):
        return wheel, _told(wheel, "is stored")
    from webslm.hub.download import why_unreachable

    reason = why_unreachable(hub.base.hub, stores.local.root / "tools" / "hub", seconds=PROBE_S)
    return (hub, None) if reason is None else (wheel, _told(wheel, f"is taken: {reason}"))


def _stored(cfg: Config, stores: Stores) -> bool:
    (planned,) = stores.look(plan(replace(cfg, until="base"))[-1:])
    return planned.stored


def _told(cfg: Config, why: str) -> str:
    base, wheel = cfg.base, cfg.base.wheel
    return (
        f"base: {base.hub.id} from the wheel {wheel.name} {wheel.version} (weights of a "
        f"{wheel.storage} file) {why}; base.source=hub insists on the hub"
    )
