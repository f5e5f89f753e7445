"""Own what is said of an override that does not compose: Hydra's errors as sentences with hints."""

from __future__ import annotations

import dataclasses
import difflib
import re
import shlex
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from webslm.basics.errors import Problem
from webslm.basics.paths import RECIPE_GROUP, conf_dir, conf_dirs
from webslm.config.freeform import takes
from webslm.schema import Config

UNKNOWN = re.compile(r"not in struct|Key '.*' not in|Could not override|Could not append")
PLUGINS = {
    "hydra/launcher": "pip install 'webslm[sweep]', for ray_cluster 'webslm[ray]'",
    "hydra/sweeper": "pip install 'webslm[sweep]'",
}
"""Groups whose options need an extra, and how to get it."""
KINDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str | None": "a text or null",
    "int | None": "a whole number or null",
}
"""What people call the types."""
FILES = {"data": "data.path", "base": "base=local base.path"}
"""Groups whose name is taken for a file's, and what is meant."""


def sentence(error: Exception, override: str) -> Problem:
    """Return what to say of the error that an override raised."""
    from hydra.errors import MissingConfigException, OverrideParseException

    key, _, value = override.lstrip("+~").partition("=")
    text = root(error)
    if isinstance(error, OverrideParseException):
        return syntax_problem(error, override)
    if isinstance(error, MissingConfigException):
        return _missing(error, key, override)
    if not text.strip():
        return f"{override!r} cannot be read", "python -m webslm --help lists what can be typed"
    if override.startswith("~") and _is_known(key):
        return f"{override!r} takes away what every build needs", f"choose one: {key}=OPTION"
    found = re.search(r"full_key: (\S+)", text)
    where = found.group(1) if found else key
    place, first = _said(text)
    group = re.search(r"Could not override '/?([^'@]+)", first)
    if group is not None:
        return f"{place}unknown key {group[1]!r}", nearest(group[1])
    if UNKNOWN.search(first) or (override and not _is_known(key)):
        return f"{place}unknown key {where!r}", nearest(where or key)
    if "Ambiguous value" in first:
        many = f"python -m webslm -m {shlex.quote(override)}"
        return f"{key}: {value!r} names several, and one build takes one", f"{many} builds each"
    if "not a subclass of" in first and key in FILES:
        return f"{key}: {value!r} is no group of keys", f"{FILES[key]}={shlex.quote(value)}"
    message, hint = _of_value(first, where, value)
    return f"{place}{message}", hint


def _said(text: str) -> tuple[str, str]:
    """Return (``OPTION: `` of the file that is wrong, what is said of it) of an error's text."""
    lines = text.strip().splitlines()
    file = re.match(r"In '([^']+)'", lines[0])
    place = f"{file[1]}: " if file and file[1] != "config" else ""
    if lines[0].endswith("raised while composing config:") and len(lines) > 1:
        return place, lines[1].strip()
    return place, lines[0].removeprefix(file[0] + ": " if file else "").strip()


def _of_value(first: str, where: str, value: str) -> Problem:
    """Return what to say of a value that its key does not take."""
    if "Missing mandatory value" in first or "missing" in first.lower():
        return f"{where or 'a value'}: is not set", f"add {where or 'key'}=VALUE"
    if "Invalid value" in first and "expected one of" in first:
        options = re.findall(r"\[(.*)\]", first)
        return f"{where}: {first}", f"one of {options[0]}" if options else None
    told = f"{where}: {first}" if where else first
    if "${" in value or "nterpolation" in first:
        return told, f"${{KEY}} is another key's value; a text is typed so: '{where}=\\${{...'"
    return told, _type_hint(where)


def root(error: BaseException) -> str:
    """Return the text of the error at the bottom."""
    # Hydra wraps OmegaConf's error, whose text names the full key.
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return str(cause) if cause is not None and str(cause).strip() else str(error)


def syntax_problem(error: Exception, override: str) -> Problem:
    """Return what to say of an override that Hydra cannot read."""
    key, equals, _ = override.lstrip("+").partition("=")
    if not equals:
        told = f"{override!r} is neither KEY=VALUE nor a known verb"
        if Path(override).exists():
            return told, f"rows are named so: data.path={shlex.quote(override)}"
        return told, "python -m webslm --help lists both"
    if takes(key) == "container":
        return (
            f"{key}: cannot be read: {str(error).splitlines()[0]}",
            f'texts in a list stand in quotes: {key}=\'["first text", "second text"]\''
            if "[" in override
            else f"names and texts stand in quotes: {key}='{{name: \"a text\"}}'",
        )
    if not _is_known(key):
        return f"unknown key {key!r}", nearest(key)
    return f"{override!r} cannot be read: {str(error).splitlines()[0]}", _type_hint(key)


def flag_problem(flag: str) -> Problem:
    """Return what to say of a word that begins with a dash and is nothing that is known."""
    name = flag.lstrip("-").partition("=")[0].replace("-", "_")
    value = flag.partition("=")[2]
    keys = sorted(_keys(Config, ""))
    near = difflib.get_close_matches(name, [key for key in keys if "." not in key], n=1)
    if near:
        return f"no flag {flag!r}", f"keys are typed so: {near[0]}={value or 'VALUE'}"
    return f"no flag {flag!r}", "python -m webslm --help lists them"


def _missing(error: Exception, key: str, override: str) -> Problem:
    value = override.partition("=")[2]
    if key in PLUGINS and (conf_dir() / key / f"{value}.yaml").is_file():
        return f"{key}={value}: its packages are not installed", PLUGINS[key]
    if key in FILES and Path(value).exists():
        return f"{key}: {value!r} is a file's name", f"{FILES[key]}={shlex.quote(value)}"
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


def _is_known(key: str) -> bool:
    """Return whether the schema, Hydra or a folder of options has a key of this name."""
    name = key.partition("@")[0]
    if not name or name.startswith("hydra"):
        return bool(name)
    is_group = name == RECIPE_GROUP or any((folder / name).is_dir() for folder in conf_dirs())
    return is_group or any(
        name == known or name.startswith(f"{known}.") for known in _keys(Config, "")
    )


def _type_hint(where: str) -> str:
    kind: Any = Config
    for part in where.split("."):
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        kind = hints.get(part.partition("[")[0])
    if kind is None or dataclasses.is_dataclass(kind):
        return "python -m webslm --cfg job shows every key"
    name = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
    return f"{where} takes {KINDS.get(name, name)}"
