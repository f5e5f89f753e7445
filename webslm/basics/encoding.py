"""Own how the bytes of a user's text file become text, and which text can be written again."""

from __future__ import annotations

import codecs
import re
import shlex
from pathlib import Path

from webslm.basics.errors import ConfigError

MARKS = (
    # UTF-32's little-endian mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8"),
)
_BREAK = re.compile(r"\r\n|\r|\n")
_HALF = re.compile("[\ud800-\udfff]")
BOM = "\ufeff"
SHOWN = 60
"""Longest value that a message shows, in characters."""


def decoded(raw: bytes, name: str) -> str:
    """Return the text of a file's bytes: UTF-8, or UTF-16 and UTF-32 with their byte-order mark.

    The mark is no part of the text; line ends stay as they are.

    Raises:
        ConfigError: The bytes are of another encoding; names file and line.
    """
    name = printable(name)
    encoding = next((kind for mark, kind in MARKS if raw.startswith(mark)), "utf-8")
    # In UTF-16 without its mark, every other byte of Latin text is a zero.
    if encoding == "utf-8" and b"\0" in raw[:4]:
        near = "UTF-16LE" if raw[1:2] == b"\0" else "UTF-16BE"
        raise ConfigError(f"{name}: UTF-16 without a byte-order mark", hint=_convert(name, near))
    try:
        return raw.decode(encoding).lstrip(BOM)
    except UnicodeDecodeError as exc:
        line = len(_BREAK.findall(raw[: exc.start].decode(encoding, "ignore"))) + 1
        told = f"not {encoding.upper()} text"
        raise ConfigError(f"{name}:{line}: {told}", hint=_convert(name, "CP1252")) from exc


def read_text(path: Path) -> str:
    """Return the text of a file; raises as ``decoded`` and ``Path.read_bytes`` do."""
    return decoded(path.read_bytes(), path.name)


def lines(text: str) -> list[str]:
    r"""Return the lines of a text: only \n, \r and \r\n end one, none of Unicode's other breaks."""
    return _BREAK.split(text)


def first_line(text: str) -> str:
    """Return a text up to its first line end."""
    return _BREAK.split(text, maxsplit=1)[0]


def unified(text: str) -> str:
    r"""Return a text in which \n is the only line end."""
    return _BREAK.sub("\n", text)


def is_whole(text: str) -> bool:
    """Return whether a text can be written: it holds no half of a surrogate pair."""
    return _HALF.search(text) is None


def printable(text: object) -> str:
    r"""Return a name as a message may show it: on one line, what cannot be written as \uXXXX."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text)
    )


def shown(value: object) -> str:
    """Return a value as a message may show it: on one line, and not much of a long one."""
    try:
        told = printable(repr(value))
    except RecursionError:
        told = type(value).__name__
    return told if len(told) <= SHOWN else f"{told[: SHOWN - 3]}..."


def _convert(name: str, encoding: str) -> str:
    quoted, other = shlex.quote(name), shlex.quote(f"utf8-{name}")
    return f"save the file as UTF-8: iconv -f {encoding} -t UTF-8 {quoted} > {other}"
