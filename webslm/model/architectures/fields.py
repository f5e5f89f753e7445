"""Own the types of a config.json's values: what is no number, switch or name is refused by key.

Python takes "64" for a size and "false" for true; a build would then go wrong much later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from webslm.basics.errors import ConfigError

MAX_LAYERS = 4096
"""More are a damaged number; lists are made of as many names."""


def whole(config: Mapping[str, Any], key: str) -> int:
    """Return an integer, also one written as 64.0.

    Raises:
        ConfigError: It is something else.
    """
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_whole(value):
        raise wrong(key, value, "a whole number")
    return int(value)


def count(config: Mapping[str, Any], key: str) -> int:
    """Return a size, which is above zero.

    Raises:
        ConfigError: It is none.
    """
    value = whole(config, key)
    if value < 1 or (key == "num_hidden_layers" and value > MAX_LAYERS):
        raise wrong(key, value, "a possible size")
    return value


def real(config: Mapping[str, Any], key: str) -> float:
    """Return a finite number.

    Raises:
        ConfigError: It is something else.
    """
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(key, value, "a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise wrong(key, value, "a finite number")
    return found


def flag(config: Mapping[str, Any], key: str) -> bool:
    """Return a switch.

    Raises:
        ConfigError: It is neither true nor false.
    """
    value = config[key]
    if not isinstance(value, bool):
        raise wrong(key, value, "true or false")
    return value


def name(config: Mapping[str, Any], key: str) -> str:
    """Return a text.

    Raises:
        ConfigError: It is something else.
    """
    value = config[key]
    if not isinstance(value, str):
        raise wrong(key, value, "a text")
    return value


def listed(config: Mapping[str, Any], key: str, kind: type | tuple[type, ...]) -> list[Any]:
    """Return a list whose items are of a kind; what is left out or null is empty.

    Raises:
        ConfigError: It is something else.
    """
    value = config.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise wrong(key, value, "a list of such values")
    return value


def inner(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an object; what is left out or null is empty.

    Raises:
        ConfigError: It is something else.
    """
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(key, value, "an object")
    return value


def wrong(key: str, value: object, expected: str) -> ConfigError:
    """Return the error for a value that is not what its key needs."""
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return ConfigError(
        f"config.json: {key} is {shown}, not {expected}",
        hint="write what the model's publisher has there",
    )


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and value == int(value)
