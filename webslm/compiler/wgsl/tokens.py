"""Own the words, numbers and signs of a WGSL text."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SKIPPED = re.compile(r"\s+|//[^\n]*")
_TOKEN = re.compile(
    r"(?P<number>0[xX][\da-fA-F]+[iu]?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[iufh]?)"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<sign>->|[-+*/%&|^~!=<>.,;:@(){}\[\]])"
)


class WgslError(ValueError):
    """The text is not WGSL, or holds what this parser does not read."""


@dataclass(frozen=True)
class Token:
    """A word, a number or a sign; ``<`` and ``>`` always stand alone."""

    kind: str
    text: str
    line: int


def tokens(text: str) -> list[Token]:
    """Split a shader's text, comments left out.

    Raises:
        WgslError: A character that no token starts with, or a comment without end.
    """
    found: list[Token] = []
    at, line = 0, 1
    while at < len(text):
        if text.startswith("/*", at):
            end = _comment_end(text, at, line)
        elif skipped := _SKIPPED.match(text, at):
            end = skipped.end()
        elif token := _TOKEN.match(text, at):
            end = token.end()
            found.append(Token(str(token.lastgroup), token.group(), line))
        else:
            raise WgslError(f"line {line}: the character {text[at]!r}")
        line += text.count("\n", at, end)
        at = end
    return found


def _comment_end(text: str, at: int, line: int) -> int:
    depth = 0
    for mark in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return at + mark.end()
    raise WgslError(f"line {line}: a comment without end")
