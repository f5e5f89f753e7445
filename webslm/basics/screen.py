"""Own the terminal: whatever a text holds, its letters are shown and none of them acts.

The only module that makes a console. Rows, file names and libraries' messages are printed by all
others; markup, emoji codes, control characters and invisible ones in them are shown as they stand.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# Controls, escapes, directions, characters without width, half surrogates. Line breaks and tabs
# are layout.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def shown(text: str) -> str:
    r"""Return a text whose acting characters are written as escapes such as ``\x1b``."""
    return _ACTING.sub(lambda match: ascii(match.group())[1:-1], text)


class Screen(Console):
    """A console on which a plain string means its letters; styles come as ``Text``."""

    def __init__(self, **options: Any) -> None:
        """Take rich's own options."""
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as ``Text``; asked before rich drops control characters silently."""
        return super().render_str(shown(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of anything printed, none of which acts but rich's own controls."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            if control or not _ACTING.search(text):
                yield segment
            else:
                yield Segment(shown(text), style)


def tell_problem(console: Screen, label: str, message: str, hint: str | None) -> None:
    """Print one problem as a line, and its hint as one more."""
    told = Text.assemble((f"{_line(label)}:", "red"), f" {_line(message)}")
    console.print(told, soft_wrap=True)
    if hint:
        console.print(Text.assemble(("  hint:", "yellow"), f" {_line(hint)}"), soft_wrap=True)


def _line(text: str) -> str:
    """Return a text on one line: a file's name must not write a line of its own."""
    return shown(text).replace("\n", "\\n")


def say(line: str) -> None:
    """Write one line to the standard output."""
    sys.stdout.write(shown(line) + "\n")


def tolerate_terminal() -> None:
    """Let a terminal that lacks a character show it escaped, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
