"""Own looking metadata of a GGUF file up: what is there, of what kind, in which range."""

from __future__ import annotations

import math
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.model.gguf.header import Header

MISSING = object()
MOST = 1 << 31
WHOLE = "take the model's whole file, made by a current llama.cpp"


class Keys:
    """Metadata of one architecture."""

    def __init__(self, header: Header) -> None:
        self.header = header

    def get(self, key: str, default: Any = MISSING) -> Any:
        """Return a value; a list that repeats one value is that value."""
        full = f"{self.header.architecture}.{key}"
        value = self.header.metadata.get(full, default)
        if value is MISSING:
            raise ConfigError(f"{self.header.name}: no {full} in its metadata", hint=WHOLE)
        if not isinstance(value, list):
            return value
        if len(set(value)) != 1:
            raise ConfigError(
                f"{self.header.name}: {full} differs between layers",
                hint="only models whose layers have one shape can be compiled",
            )
        return value[0]

    def number(self, key: str, default: Any = MISSING) -> float:
        """Return a finite number that is not negative, in the decimals somebody wrote it with."""
        value = self.get(key, default)
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise self.wrong(key, value)
        # A float32 of 1e-5 is 9.99999974e-06.
        return float(f"{value:.7g}")

    def count(self, key: str, default: Any = MISSING, *, least: int = 1) -> int:
        """Return a whole number."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            raise self.wrong(key, value)
        return value

    def wrong(self, key: str, value: object) -> ConfigError:
        """Return the refusal of a value."""
        full = f"{self.header.architecture}.{key}"
        return ConfigError(f"{self.header.name}: {full} is {value!r}", hint=WHOLE)
