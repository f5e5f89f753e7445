"""Every message that the troubleshooting page quotes can be said by the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from webslm.basics.paths import PACKAGE, site_dir

PAGE = PACKAGE.parent / "docs" / "troubleshooting.md"
QUOTED = re.findall(r"^### `(.+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
GAP = "…"
FEWEST_LETTERS = 8
"""A template with fewer letters of its own says nothing in particular."""


def template(node: ast.expr) -> str | None:
    """Return a text with a gap for each part that is put in at run time."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (template(part) if isinstance(part, ast.Constant) else GAP for part in node.values)
        return "".join(part or "" for part in parts)
    return None


def templates() -> Iterator[str]:
    """Yield every text that the Python package and the page's modules hold."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = template(node) if isinstance(node, ast.expr) else None
            if found and sum(map(str.isalpha, found)) >= FEWEST_LETTERS:
                # What follows a colon at the end is joined to it.
                yield found + GAP if found.endswith(": ") else found
    for path in site_dir().glob("*.js"):
        yield from re.findall(r'"([^"\n]{12,})"', path.read_text(encoding="utf-8"))


def shape(text: str) -> str:
    """Return a text with neighbouring gaps as one."""
    return re.sub(rf"{GAP}+", GAP, text)


@pytest.fixture(scope="module")
def said() -> set[str]:
    return {shape(text) for text in templates()}


def test_page_quotes_enough() -> None:
    assert len(QUOTED) > 40
    assert len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("message", QUOTED)
def test_quoted_message_stands_in_the_code(message: str, said: set[str]) -> None:
    assert shape(message) in said
