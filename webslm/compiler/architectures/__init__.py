"""One file per model type: its weight map and its layers."""

from __future__ import annotations

from types import ModuleType

from webslm.compiler.architectures import qwen2
from webslm.errors import ConfigError

ARCHITECTURES: dict[str, ModuleType] = {"qwen2": qwen2}


def architecture(model_type: str) -> ModuleType:
    """Return the module of a model type.

    Raises:
        ConfigError: There is none.
    """
    try:
        return ARCHITECTURES[model_type]
    except KeyError:
        raise ConfigError(
            f"base.shape.model_type: no architecture for {model_type!r}",
            hint=f"known: {', '.join(sorted(ARCHITECTURES))}",
        ) from None
