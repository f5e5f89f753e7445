"""Own which keys hold names of the user's choosing, and how they can be typed like any other key.

Hydra refuses a name that the schema does not have unless the word starts with ``++``.
"""

from __future__ import annotations

from collections.abc import Iterable

KEYS = ("base.template_options", "data.columns", "data.signatures")


def typed(words: Iterable[str]) -> list[str]:
    """Return overrides with ``++`` in front of those that set a name of the user's choosing."""
    return [f"++{word}" if _is_free(word) else word for word in words]


def _is_free(word: str) -> bool:
    key = word.partition("=")[0]
    return any(key == known or key.startswith(f"{known}.") for known in KEYS)
