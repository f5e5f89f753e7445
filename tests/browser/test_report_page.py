"""report.html of a real build, on a phone and on paper: nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from webslm.proof.browser import find

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAPER = 718
"""A4 less Chromium's margins, in CSS pixels."""
PHONES = (320, 390)
CUT = """() => [...document.querySelectorAll("body *")].filter(
    (each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0
        && getComputedStyle(each).display !== "inline"
).map((each) => each.className || each.tagName)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=find(None), args=["--no-sandbox"])
        yield started
        started.close()


def cut(browser: Browser, page: Path, width: int, media: Literal["screen", "print"]) -> list[str]:
    """Return what is wider than its place, the page itself first."""
    context = browser.new_context(viewport={"width": width, "height": 844}, offline=True)
    shown = context.new_page()
    shown.emulate_media(media=media)
    shown.goto(page.as_uri())
    found: list[str] = shown.evaluate(CUT)
    if shown.evaluate("document.documentElement.scrollWidth") > width:
        found.insert(0, "page")
    context.close()
    return found


@pytest.mark.browser
@pytest.mark.parametrize("width", PHONES)
def test_phone_scrolls_wide_tables_and_never_the_page(
    browser: Browser, taught: Path, width: int
) -> None:
    found = cut(browser, taught / "report.html", width, "screen")
    assert set(found) <= {"scroll", "plan scroll"}


@pytest.mark.browser
def test_paper_holds_everything(browser: Browser, taught: Path) -> None:
    assert cut(browser, taught / "report.html", PAPER, "print") == []
