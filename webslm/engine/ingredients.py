"""Own why two keys of a stage differ: what they are digests of, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from webslm.engine.cut import typed_key
from webslm.engine.table import BY_NAME


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()
KINDS = ("config", "files", "wheels", "code", "inputs")
"""What a key is a digest of, in the order in which differences are told."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One ingredient of a key that differs; ``ABSENT`` where a side lacks it."""

    kind: str
    """One of ``KINDS``."""
    name: str
    """What a user types for a value of the configuration; else a file, wheel, module or stage."""
    before: Any
    now: Any


def changes(stage: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Return what differs between the ingredients of two keys of a stage.

    Args:
        stage: Its name; one that this webslm does not know keeps its own names of values.
        before: The ingredients of one key: a mapping of each of ``KINDS``, or none.
        now: Those of the other.
    """
    return [
        Change(kind=kind, name=name, before=old, now=new)
        for kind in KINDS
        for name, old, new in sorted(
            (
                (_name(stage, kind, name), old, new)
                for name, old, new in _differing(before.get(kind, {}), now.get(kind, {}))
            ),
            key=itemgetter(0),
        )
    ]


def _name(stage: str, kind: str, dotted: str) -> str:
    if kind != "config" or stage not in BY_NAME:
        return dotted
    return typed_key(BY_NAME[stage].conf, dotted)


def _differing(one: Any, other: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, first value, second value) of every leaf that differs."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            dotted = f"{prefix}.{name}".lstrip(".")
            yield from _differing(one.get(name, ABSENT), other.get(name, ABSENT), dotted)
    elif one != other:
        yield prefix, one, other


def shown(value: Any) -> str:
    """Return a value as a user types it."""
    return "null" if value is None else str(value)
