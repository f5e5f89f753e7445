"""Own the checks of plain numbers, in one wording."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.basics.errors import Problem


def positive(prefix: str, node: object, names: tuple[str, ...]) -> Iterator[Problem]:
    """Yield the named values of ``node`` that are not finite and above 0."""
    for name in names:
        value = getattr(node, name)
        if not 0 < value < float("inf"):
            yield f"{prefix}.{name}: {value} is not above 0", "a positive number"
