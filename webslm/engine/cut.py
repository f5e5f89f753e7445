"""Own the cut of a stage's configuration out of a build's, as its fields declare it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass, replace
from functools import cache, reduce
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from webslm.engine.settled import FOLLOWING
from webslm.schema import Config, Follows, Ignored, Key, RuntimeConf


def cut(kind: Any, cfg: Config, wheels: Sequence[str], own: Mapping[str, Any]) -> Any:
    """Return the ``kind`` of stage configuration that a build's settled configuration says.

    Args:
        kind: The class whose fields are filled.
        cfg: As ``settled`` returns it.
        wheels: The wheels that the stage works with: of the matrix row it sees only these.
        own: Values that the stage sets itself.
    """
    values = {}
    for name, declared, key in declarations(kind):
        if name in own:
            values[name] = own[name]
        elif isinstance(key, Follows):
            if (kind, name) in FOLLOWING:
                values[name] = FOLLOWING[kind, name](cfg)
        elif key is not None:
            value = reduce(getattr, key.dotted.split("."), cfg)
            values[name] = _narrowed(declared, value, wheels)
        elif is_dataclass(declared) and isinstance(declared, type):
            values[name] = cut(declared, cfg, wheels, {})
    return kind(**values)


@cache
def declarations(kind: Any) -> tuple[tuple[str, Any, Key | None], ...]:
    """Return (name, type, key or None) of each field of a stage's configuration."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_declaration(field, hints[field.name]) for field in fields(kind))


def _declaration(field: Field[Any], hint: Any) -> tuple[str, Any, Key | None]:
    if get_origin(hint) is not Annotated:
        return field.name, hint, None
    declared, key = get_args(hint)
    return field.name, declared, key


def _narrowed(declared: Any, value: Any, wheels: Sequence[str]) -> Any:
    """Return a value as the field that takes it declares it."""
    if isinstance(value, RuntimeConf):
        pins = {name: version for name, version in value.wheels.items() if name in wheels}
        return replace(value, wheels=pins, tools=value.tools if wheels else {})
    if isinstance(declared, UnionType) or not is_dataclass(declared) or type(value) is declared:
        return value
    assert isinstance(declared, type)
    return declared(**{field.name: getattr(value, field.name) for field in fields(declared)})


def keys(kind: Any) -> Mapping[str, Key]:
    """Return the user's key of every value that a stage's configuration takes, by dotted name."""
    return dict(_keys(kind))


def _keys(kind: Any) -> Iterator[tuple[str, Key]]:
    for name, declared, key in declarations(kind):
        if key is not None:
            yield name, key
        elif is_dataclass(declared) and isinstance(declared, type):
            yield from ((f"{name}.{inner}", inner_key) for inner, inner_key in _keys(declared))


def external(kind: type[Any]) -> tuple[str, ...]:
    """Return the dotted names of a stage's values that name files."""
    return tuple(f"{name}.{part}" for name, key in keys(kind).items() for part in key.files)


def ignored(kind: type[Any]) -> tuple[str, ...]:
    """Return the dotted names of a stage's values that cannot change its artifact."""
    parts = (f"{name}.{part}" for name, key in keys(kind).items() for part in key.ignored)
    whole = (name for name, key in keys(kind).items() if isinstance(key, Ignored))
    return (*whole, *parts)


def typed_key(kind: type[Any], dotted: str) -> str:
    """Return what a user types for a value that a stage knows by a dotted name of its own."""
    for name, key in keys(kind).items():
        if dotted == name or dotted.startswith(f"{name}."):
            return key.dotted + dotted.removeprefix(name)
    return dotted
