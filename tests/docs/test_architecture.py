"""The page about the architecture draws the table that the imports are held to."""

from __future__ import annotations

import re

from tests.docs.commands import CHECKOUT
from tests.unit.test_imports import ALLOWED
from webslm.basics.paths import PACKAGE

PAGE = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_drawing_is_the_table() -> None:
    drawn = {
        room: {name for name in below.split(", ") if name}
        for room, below in re.findall(r"^\| `(\w+)` \| .* \| ?([\w, ]*?) ?\|$", PAGE, re.MULTILINE)
    }
    assert drawn == {room: below for room, below in ALLOWED.items() if room != "__main__"}


def test_walks_pass_through_files_that_are_there() -> None:
    walks = PAGE[PAGE.index("## Four walks") :]
    named = set(re.findall(r"`([\w/.-]+\.(?:py|js))`", walks))
    assert len(named) > 20
    for name in named:
        rooms = (PACKAGE, PACKAGE / "site", PACKAGE / "config" / "checks")
        assert any((room / name).is_file() for room in (*rooms, CHECKOUT)), name
