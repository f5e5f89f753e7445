"""What a terminal gets to see of hostile texts: their letters, and nothing that acts."""

from __future__ import annotations

import io
import sys

import pytest
from rich.table import Table
from rich.text import Text

from webslm.basics.errors import ConfigError
from webslm.basics.screen import Screen, say, shown, tolerate_terminal
from webslm.report.summary import LiveDisplay, show_error

ACTING = "\x1b]0;t\x07\x1b[31mred\r\x08\x00\x9b \u202egnp\u202c z\u200bw\u200d\ufeff\u2028 \ud83d"
PLAIN = r"\x1b]0;t\x07\x1b[31mred\r\x08\x00\x9b \u202egnp\u202c z\u200bw\u200d\ufeff\u2028 \ud83d"
MARKUP = "[red]no[/] [link=x]y[/link] rows.jsonl:100: :warning: [/] \\[bold] [1, 2] trailing\\"


def screen() -> tuple[Screen, io.StringIO]:
    file = io.StringIO()
    return Screen(file=file, width=300, force_terminal=True, color_system=None), file


@pytest.mark.parametrize(("text", "letters"), [(ACTING, PLAIN), (MARKUP, MARKUP)])
def test_a_text_is_shown_as_its_letters_wherever_it_is_printed(text: str, letters: str) -> None:
    console, file = screen()
    table = Table(title=text, box=None)
    table.add_column(text)
    table.add_row(text)
    console.print(text)
    console.print(table)
    show_error(console, ConfigError(text, hint=text))
    told = file.getvalue()
    assert told.count(letters) == 6
    assert not {"\x1b[31m", "\x07", "\r", "\u202e", "\ud83d", "\u200b"} & set(told)
    assert "\x1b[31m" not in told


def test_a_progress_line_is_shown_as_its_letters() -> None:
    console, file = screen()
    with LiveDisplay(console).stage("data") as progress:
        progress.note("[red] :100: \x1b[31m \u202e")
        progress.update(1, 2, "[red] :100: \x1b[31m \u202e")
    told = file.getvalue()
    assert "[red] :100: \\x1b[31m \\u202e" in told
    assert "\x1b[31m" not in told


def test_line_breaks_and_other_alphabets_stay() -> None:
    assert shown("a\tb\nçé茶 😀 ש") == "a\tb\nçé茶 😀 ש"
    console, file = screen()
    console.print(Text("a\u200bb", "red"))
    assert file.getvalue() == "a\\u200bb\n"


def test_a_terminal_without_a_letter_shows_it_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    tolerate_terminal()
    say("café → \x1b")
    Screen().print("茶")
    sys.stdout.flush()
    assert raw.getvalue() == b"caf\\xe9 \\u2192 \\x1b\n\\u8336\n"
