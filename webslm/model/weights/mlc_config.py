"""Own the config.json that mlc_llm reads: transformers 4 spelling, whatever was given.

Its model classes know ``rope_theta`` at the top; where a config.json of transformers 5 has it in
``rope_parameters``, they end with "missing 1 required positional argument: 'rope_theta'", or fall
back to 10000 without a word. ``dtype`` of transformers 5 would set the type they compute in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webslm.model.architectures import architecture
from webslm.model.architectures.hf_config import rope_parts
from webslm.schema import ShapeConf

DEFAULT_THETA = 10000.0
PLAIN = ("default", None)
"""Kinds of rotary scaling that are none."""


def config_of(shape: ShapeConf) -> dict[str, Any]:
    """Return the config.json of a shape as mlc_llm reads it."""
    return release_config(architecture(shape.model_type).config(shape))


def release_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json in the one spelling that mlc_llm reads; of such a one, itself.

    Args:
        config: Of transformers 4 or 5.
    """
    rope, _ = rope_parts(config)
    theta = config.get("rope_theta") or rope.get("rope_theta") or DEFAULT_THETA
    scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
    kind = scaling.get("rope_type", scaling.get("type"))
    kept = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype")}
    return {
        **kept,
        "rope_theta": theta,
        "rope_scaling": None if kind in PLAIN else scaling,
        "torch_dtype": str(config.get("dtype") or config.get("torch_dtype") or "float32"),
    }
