"""The page with a model that runs, used as a visitor would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chain import TIMEOUT_S, make_site
from webslm.bundle.serve import running_server
from webslm.proof import browser
from webslm.proof.browser import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
READY = "html[data-state=ready]"
LAST = "#log > li:last-child"


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    site = make_site(root, root / "site", max_tokens=150)
    with running_server(site, prefix="/a/b/") as address:
        yield address


@pytest.fixture(scope="module")
def tab(url: str) -> Iterator[Tab]:
    with browser.session(None, timeout_s=TIMEOUT_S) as session:
        page = session.tab(width=360, height=740)
        page.open(url)
        page.wait_for("html[data-state=idle]", "the page did not start")
        page.click("#load")
        page.wait_for("#progress:not([hidden])", "no progress was shown")
        page.wait_for(READY, "the model was not loaded")
        yield page


@pytest.fixture
def fresh(tab: Tab) -> Tab:
    """Give the loaded page with an empty conversation."""
    if tab.evaluate("!document.querySelector('#new-chat').hidden"):
        tab.click("#new-chat")
    return tab


def say(tab: Tab, text: str) -> None:
    tab.fill("#input", text)
    tab.press("Enter")


def stop(tab: Tab) -> None:
    """Stop the answer if it has not ended by itself."""
    tab.wait_for(f"{LAST}:not([data-state=waiting])", "no piece of an answer came")
    tab.evaluate("document.querySelector('#stop').click()")
    tab.wait_for(READY, "the answer was not stopped")


def test_progress_names_percent(tab: Tab) -> None:
    assert tab.evaluate("document.querySelector('#progress-text').textContent").endswith("%")
    assert float(tab.evaluate("document.documentElement.dataset.loadSeconds")) > 0


def test_example_question_streams_an_answer_that_can_be_stopped(fresh: Tab) -> None:
    fresh.click("#questions li:last-child button")
    fresh.wait_for(f"{LAST}[data-state=streaming]", "no piece of an answer came")
    first = fresh.text(f"{LAST} .text")
    stop(fresh)
    assert fresh.evaluate(f"document.querySelector('{LAST}').dataset.state") == "interrupted"
    assert fresh.text(f"{LAST} .text").startswith(first.strip())
    assert fresh.text(f"{LAST} .note") == "Stopped by you."
    assert fresh.text("#log > li.user .text") == "<i>Why?</i>"
    assert fresh.observed.console_errors == []
    assert fresh.observed.webgpu_errors == []
    assert fresh.observed.foreign_requests == []


def test_conversation_goes_on_and_starts_anew(fresh: Tab) -> None:
    for turn in (1, 2):
        say(fresh, f"Question {turn}?")
        stop(fresh)
        assert fresh.evaluate("document.querySelectorAll('#log > li').length") == 2 * turn
    assert fresh.evaluate("document.activeElement.id") == "input"
    fresh.click("#new-chat")
    assert fresh.evaluate("document.querySelectorAll('#log > li').length") == 0
    assert not fresh.evaluate("document.querySelector('#examples').hidden")


def test_an_empty_question_is_not_asked(fresh: Tab) -> None:
    say(fresh, "  \n ")
    assert fresh.evaluate("document.querySelectorAll('#log > li').length") == 0
    fresh.fill("#input", "")


def test_a_conversation_beyond_the_context_is_explained_and_goes_on(fresh: Tab) -> None:
    say(fresh, "word " * 600)
    fresh.wait_for(f"{LAST}[data-state=failed]", "nothing was said about the length")
    assert fresh.text("#problem-title") == "This conversation is too long"
    fresh.wait_for(READY, "the page gave up")
    fresh.click("#new-chat")
    say(fresh, "Short?")
    stop(fresh)
