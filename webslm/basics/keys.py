"""Own canonical JSON, digests of files and trees, and stage keys; read only files it is given."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from webslm.basics.fs import tree_files

CHUNK_BYTES = 1 << 20


def plain(value: Any) -> Any:
    """Return ``value`` as JSON types: dataclasses as dicts, enums by name, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def restored(kind: type[Any], value: Mapping[str, Any]) -> Any:
    """Return a dataclass from its plain values; what they leave out has its default.

    Raises:
        TypeError: There is no field of a name.
        KeyError: An enum has no member of a name.
    """
    hints = typing.get_type_hints(kind)
    return kind(**{name: _restored(hints.get(name), part) for name, part in value.items()})


def _restored(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return restored(hint, value)
    if typing.get_origin(hint) is dict:
        item = typing.get_args(hint)[1]
        return {key: _restored(item, part) for key, part in value.items()}
    if typing.get_origin(hint) is list:
        (item,) = typing.get_args(hint)
        return [_restored(item, part) for part in value]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint[value]
    return value


def canonical_json(value: Any) -> str:
    """Return the one spelling of ``value``: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def text_digest(text: str) -> str:
    """Return the sha256 of a text's UTF-8 bytes in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file in hex, reading it in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def tree_digest(roots: Iterable[Path]) -> str:
    """Return one digest of files and folders: relative names and contents, nothing else."""
    return lines_digest(tree_lines(roots))


def lines_digest(lines: Iterable[tuple[str, str]]) -> str:
    """Return one digest of what ``tree_lines`` returned."""
    return text_digest("\n".join(f"{name} {digest}" for name, digest in lines))


def tree_lines(roots: Iterable[Path]) -> list[tuple[str, str]]:
    """Return (name as seen from the folder that holds the root, sha256) of every file, in order."""
    lines = []
    for root in roots:
        for path in [root] if root.is_file() else tree_files(root):
            if "__pycache__" in path.parts:
                continue
            lines.append((path.relative_to(root.parent).as_posix(), file_digest(path)))
    return lines


def without(payload: Any, dotted_keys: Iterable[str]) -> Any:
    """Return a copy of a nested dict without the named leaves (``data.path``)."""
    copy = json.loads(json.dumps(plain(payload)))
    for dotted in dotted_keys:
        *parents, leaf = dotted.split(".")
        node = copy
        for parent in parents:
            node = node[parent]
        del node[leaf]
    return copy


def stage_key(
    *,
    stage: str,
    sources: str,
    config: Any,
    inputs: Mapping[str, str],
    files: Mapping[str, str],
    wheels: Mapping[str, str],
) -> str:
    """Return the address of a stage's artifact: sha256 in hex of what can change its bytes.

    Args:
        stage: The stage's name.
        sources: Digest of the modules that do the work.
        config: The stage's resolved configuration without paths.
        inputs: Keys of the artifacts it reads, by stage.
        files: Digests of the files outside the cache that it reads, by role.
        wheels: Versions of the wheels that take part.
    """
    parts = {
        "stage": stage,
        "sources": sources,
        "config": config,
        "inputs": inputs,
        "files": files,
        "wheels": wheels,
    }
    return text_digest(canonical_json(parts))
