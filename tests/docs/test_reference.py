"""The generated reference is what the schema, conf/ and the help say now, and says something."""

from __future__ import annotations

import pytest

from scripts.reference import OUT, pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_not_stale(name: str) -> None:
    kept = (OUT / name).read_text(encoding="utf-8")
    assert kept == PAGES[name], f"docs/reference/{name} is stale: make reference"


def test_every_key_says_what_it_means() -> None:
    rows = [line for line in PAGES["keys.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_option_says_what_it_is() -> None:
    rows = [line for line in PAGES["options.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert [row for row in rows if row.endswith("|  |")] == []
