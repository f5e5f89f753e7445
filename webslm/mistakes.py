"""Own what is said of an override that does not compose: Hydra's errors as sentences with hints."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator
from typing import Any

from webslm.paths import conf_dir
from webslm.schema import Config

Problem = tuple[str, str | None]
PLUGINS = {
    "hydra/launcher": "pip install 'webslm[sweep]', for ray_cluster 'webslm[ray]'",
    "hydra/sweeper": "pip install 'webslm[sweep]'",
}
"""Groups whose options need an extra, and how to get it."""


def sentence(error: Exception, override: str) -> Problem:
    """Return what to say of the error that an override raised."""
    from hydra.errors import MissingConfigException, OverrideParseException

    key = override.partition("=")[0].lstrip("+~")
    text = root(error)
    if isinstance(error, OverrideParseException):
        return syntax_problem(error, override)
    if isinstance(error, MissingConfigException):
        return _missing(error, key, override)
    if override.startswith("~"):
        return f"{override!r} takes away what every build needs", f"choose one: {key}=OPTION"
    found = re.search(r"full_key: (\S+)", text)
    where = found.group(1) if found else key
    first = text.splitlines()[0].strip()
    if re.search(r"not in struct|Key '.*' not in|Could not override|Could not append", first):
        return f"unknown key {where!r}", nearest(where or key)
    if "Missing mandatory value" in first or "missing" in first.lower():
        return f"{where or 'a value'}: is not set", f"add {where or 'key'}=VALUE"
    if "Invalid value" in first and "expected one of" in first:
        options = re.findall(r"\[(.*)\]", first)
        return f"{where}: {first}", f"one of {options[0]}" if options else None
    return f"{where}: {first}" if where else first, _type_hint(where)


def root(error: BaseException) -> str:
    """Return the text of the error at the bottom."""
    # Hydra wraps OmegaConf's error, whose text names the full key.
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return str(cause) if cause is not None and str(cause).strip() else str(error)


def syntax_problem(error: Exception, override: str) -> Problem:
    """Return what to say of an override that Hydra cannot read."""
    if "=" not in override:
        return (
            f"{override!r} is neither KEY=VALUE nor a known verb",
            "python -m webslm --help lists both",
        )
    return (
        f"{override!r} cannot be read: {str(error).splitlines()[0]}",
        "quote values with special characters, such as \"key='a=b'\"",
    )


def _missing(error: Exception, key: str, override: str) -> Problem:
    value = override.partition("=")[2]
    if key in PLUGINS and (conf_dir() / key / f"{value}.yaml").is_file():
        return f"{key}={value}: its packages are not installed", PLUGINS[key]
    options = re.findall(r"^\t(\S+)$", str(error), re.MULTILINE)
    near = difflib.get_close_matches(value, options, n=1)
    listed = f"one of {', '.join(options)}" if options else "python -m webslm --help"
    hint = f"did you mean {key}={near[0]}? {listed}" if near else listed
    return f"{key}: no option {value!r}", hint


def nearest(key: str) -> str:
    """Return a hint that names the key that was probably meant."""
    known = sorted(_keys(Config, ""))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if not near:
        leaf = key.rpartition(".")[2]
        near = [name for name in known if name.rpartition(".")[2] == leaf][:1]
    return f"did you mean {near[0]!r}?" if near else "python -m webslm --cfg job shows every key"


def _keys(node: type, prefix: str) -> Iterator[str]:
    for name, kind in typing.get_type_hints(node).items():
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield prefix + name
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def _type_hint(where: str) -> str:
    kind: Any = Config
    for part in where.split("."):
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        kind = hints.get(part.partition("[")[0])
    if kind is None or dataclasses.is_dataclass(kind):
        return "python -m webslm --cfg job shows every key"
    name = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
    return f"{where} takes {name}"
