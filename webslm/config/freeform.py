r"""Own how a word of the command line is read: which values are text, and which are Hydra's.

The shell has said already what the user means by a file or a sentence, so the value of a key that
takes text (``str`` in the schema) is that text as typed: commas, brackets, ``=``, spaces and
letters of any alphabet mean nothing. Four things still do:

- ``null`` is no value, where the key may have none;
- a value in quotes is what stands between them: ``name="a b"``;
- ``${key}`` is another key's value; ``\${`` is the text ``${``;
- with ``-m`` a list such as ``a,b`` (or ``choice()``, ``glob()``) is a sweep, unless in quotes.

The path of a file that is there is that file's, whatever its name.

Numbers, lists, groups and Hydra's own keys are read by Hydra. It also refuses a name that the
schema does not have unless the word starts with ``++``: names of the user's choosing get that here.
"""

from __future__ import annotations

import dataclasses
import os
import re
import types
import typing
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.schema import Config

KEYS = ("base.template_options", "data.columns", "data.signatures")
"""Keys below which names are the user's."""
PATHS = re.compile(r"(?:^|[._])(?:path|dir|browser|python|url|folder)$")
"""Keys that name files; their text may be bytes of another encoding."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def typed(words: Iterable[str], *, sweep: bool = False) -> list[str]:
    """Return overrides as Hydra must get them to understand what was typed.

    Args:
        words: Overrides; flags and deletions stay as they are.
        sweep: Whether a list of values is a sweep, as with ``-m``.

    Raises:
        ConfigError: A text is not in the terminal's encoding.
    """
    return [_typed(word, sweep=sweep) for word in words]


def text_of(word: str) -> str:
    """Return what an override that Hydra has read sets its key to, without quotes and escapes."""
    key, _, value = word.partition("=")
    if takes(key) not in ("text", "text or null"):
        return value
    found = _read(word)
    return value if found is None else str(found.value())


def explicit(word: str) -> str:
    """Return an override in Hydra's own writing as one that is understood alike when typed."""
    key = word.partition("=")[0]
    is_text = takes(key) in ("text", "text or null")
    return f"{key}={quoted(text_of(word))}" if is_text and not word.endswith("=null") else word


def quoted(text: str) -> str:
    """Return a text as one value of Hydra's grammar; ``${...}`` in it stays alive."""
    # Only backslashes in front of a quote (or of the end) mean something to Hydra.
    doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", text)
    return "'" + doubled.replace("'", "\\'") + "'"


def literal(text: str) -> str:
    """Return a text in which nothing refers to another key."""
    return text.replace("${", "\\${")


@cache
def takes(key: str) -> str:
    """Return what a key takes: text, text or null, container, or other (also: no such key)."""
    kind: Any = Config
    for part in key.lstrip("+").split("."):
        if typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
            continue
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        kind = hints.get(part)
    if kind is str:
        return "text"
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kinds = [each for each in typing.get_args(kind) if each is not type(None)]
        if kinds == [str]:
            return "text or null"
        kind = kinds[0]
    return "container" if typing.get_origin(kind) in (list, dict) else "other"


def _typed(word: str, *, sweep: bool) -> str:
    key, equals, value = word.partition("=")
    if not equals or word.startswith(("-", "~")):
        return word
    if _SURROGATE.search(value) and not PATHS.search(key):
        raise ConfigError(
            f"{key}: its text is not in this terminal's encoding",
            hint="type it in a UTF-8 terminal, or write it into a recipe",
        )
    name = f"++{word}" if _is_free(key) else word
    kept = name.partition("=")[0]
    if takes(key) in ("text", "text or null"):
        if PATHS.search(key) and os.path.lexists(value):
            return f"{kept}={quoted(literal(value))}"
        return name if _is_hydras(word, sweep=sweep) else f"{kept}={quoted(value)}"
    # What Hydra cannot read is a text too: the key's own type answers it better.
    if takes(key) == "container" or _read(word) is not None or _read(f"{key}=''") is None:
        return name
    return f"{kept}={quoted(value)}"


def _is_hydras(word: str, *, sweep: bool) -> bool:
    """Return whether the value of a key that takes text means something else than its letters."""
    key, _, value = word.partition("=")
    if not value or (value == "null" and takes(key) == "text or null"):
        return True
    found = _read(word)
    if found is None:
        return False
    return (sweep and found.is_sweep_override()) or _is_quoted(found, value)


def _is_quoted(found: Any, value: str) -> bool:
    return value[:1] in ("'", '"') and type(found._value).__name__ == "QuotedString"


def _is_free(key: str) -> bool:
    return any(key == known or key.startswith(f"{known}.") for known in KEYS)


@lru_cache(maxsize=256)
def _read(word: str) -> Any:
    """Return Hydra's reading of an override; None: it cannot be read."""
    from hydra.errors import HydraException

    try:
        return _parser().parse_override(word)
    except HydraException:
        return None


@lru_cache(maxsize=1)
def _parser() -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()
