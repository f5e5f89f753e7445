"""What goes wrong under a running page: each a clear message, and a way on that works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser.chain import make_site
from tests.browser.faults import faulty_server
from tests.site_inputs import configuration, context, write_inputs
from webslm.bundle.serve import running_server
from webslm.proof import browser
from webslm.proof.browser import Session, Tab
from webslm.schema import Graphics
from webslm.stages import bundle

pytestmark = pytest.mark.browser
TIMEOUT_S = 300.0
IDLE = "html[data-state=idle]"
READY = "html[data-state=ready]"
FAILED = "html[data-state=failed]"
LAST = "#log > li:last-child"
# Keeps the worker's device; takes it away after as many commands as `left` says.
_HOLD = """(() => {
    const original = GPUDevice.prototype.createCommandEncoder;
    GPUDevice.prototype.createCommandEncoder = function held(...words) {
        globalThis.device = this;
        globalThis.left -= 1;
        if (globalThis.left === 0) {
            this.destroy();
        }
        return original.apply(this, words);
    };
})()"""
_FULL = """(() => {
    globalThis.put = Cache.prototype.put;
    Cache.prototype.put = async () => { throw new DOMException("full", "QuotaExceededError"); };
})()"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with browser.session(None, timeout_s=TIMEOUT_S) as found:
        yield found


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    with running_server(make_site(root, root / "trouble", max_tokens=150)) as address:
        yield address


@pytest.fixture
def tab(session: Session, url: str) -> Iterator[Tab]:
    page = session.tab()
    page.open(url)
    page.wait_for(IDLE, "the page did not start")
    yield page
    page.close()


def load(tab: Tab) -> None:
    tab.click("#load")
    tab.wait_for(READY, "the model was not loaded")


def ask(tab: Tab, text: str) -> None:
    tab.fill("#input", text)
    tab.press("Enter")
    tab.wait_for(f"{LAST}.assistant:not([data-state=waiting])", "no piece of an answer came")


def stop(tab: Tab) -> None:
    tab.evaluate("document.querySelector('#stop').click()")
    tab.wait_for(READY, "the answer did not end")


def find_loss_and_go_on(tab: Tab) -> None:
    """The page says that the device is gone; one click later it answers the same question."""
    tab.wait_for(FAILED, "the loss was not noticed")
    assert tab.text("#problem-title") == "The graphics chip was taken away"
    assert "Close other tabs" in tab.text("#problem-advice")
    tab.click("#problem summary")
    assert "the graphics device was lost (destroyed" in tab.text("#problem-details")
    assert tab.evaluate("document.querySelector('#input').value") == "Second?"
    tab.click("#retry")
    tab.wait_for(READY, "the model was not loaded again")
    assert tab.evaluate("document.querySelector('#problem').hidden")
    tab.evaluate("document.querySelector('#input').focus()")
    tab.press("Enter")
    tab.wait_for(f"{LAST}.assistant:not([data-state=waiting])", "no piece of an answer came")
    stop(tab)
    assert len(tab.text(f"{LAST} .text").strip()) > 0


@pytest.mark.slow
def test_device_lost_during_an_answer(tab: Tab) -> None:
    load(tab)
    tab.in_worker(_HOLD)
    ask(tab, "First?")
    stop(tab)
    # A token takes at least one command, and the answer has up to 150 tokens.
    tab.in_worker("globalThis.left = 60")
    tab.fill("#input", "Second?")
    tab.press("Enter")
    tab.wait_for(f"{LAST}[data-state=failed]", "the answer did not break off")
    assert tab.text(f"{LAST} .note") == "This answer broke off."
    # What was answered before is still the conversation.
    assert tab.text("#log > li:first-child .text") == "First?"
    find_loss_and_go_on(tab)


@pytest.mark.slow
def test_device_lost_between_answers(tab: Tab) -> None:
    load(tab)
    tab.in_worker(_HOLD)
    ask(tab, "First?")
    stop(tab)
    tab.in_worker("globalThis.device.destroy()")
    tab.fill("#input", "Second?")
    tab.press("Enter")
    find_loss_and_go_on(tab)


@pytest.mark.slow
def test_two_tabs_at_once_both_answer(session: Session, url: str) -> None:
    tabs = [session.tab(), session.tab()]
    for tab in tabs:
        tab.open(url)
        tab.wait_for(IDLE, "the page did not start")
    for tab in tabs:
        tab.click("#load")
    for tab in tabs:
        tab.wait_for(READY, "the model was not loaded")
    for number, tab in enumerate(tabs):
        ask(tab, f"Tab {number}?")
    for tab in tabs:
        stop(tab)
    # Each keeps its own conversation, and both are there for a third.
    third = session.tab()
    third.open(url)
    third.wait_for("#kept li:nth-child(2)", "a conversation is missing", timeout_s=10)
    titles = third.evaluate(
        "[...document.querySelectorAll('#kept .link')].map((one) => one.textContent)"
    )
    assert {"Tab 0?", "Tab 1?"} <= set(titles)
    for tab in (*tabs, third):
        assert tab.observed.console_errors == []
        tab.close()


def test_chip_without_16_bit_arithmetic_is_told_before_any_download(tmp_path: Path) -> None:
    """SwiftShader lacks shader-f16, which this build needs."""
    out = tmp_path / "bundle"
    cfg = configuration(dtype="float16")
    bundle.run(cfg, write_inputs(tmp_path), out, context(tmp_path))
    with (
        faulty_server(out) as (address, faults),
        browser.session(None, timeout_s=TIMEOUT_S, graphics=Graphics.swiftshader) as session,
    ):
        page = session.tab()
        page.open(address)
        page.wait_for("html[data-state=unsupported]", "the page did not notice")
        assert page.text("#problem-title") == "This graphics chip lacks a feature"
        assert "chips with shader-f16" in page.text("#problem-text")
        assert "32-bit arithmetic" in page.text("#problem-advice")
        assert page.evaluate("document.querySelector('#load').disabled")
        assert faults.asked("/resolve/") == []
        assert page.observed.console_errors == []
        page.close()


def test_denied_storage_is_told_and_the_next_try_goes_on(session: Session, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    cfg = replace(configuration(), name="quota")
    bundle.run(cfg, write_inputs(tmp_path), out, context(tmp_path))
    with running_server(out) as address:
        page = session.tab()
        page.open(address)
        page.wait_for(IDLE, "the page did not start")
        page.evaluate(_FULL)
        page.click("#load")
        page.wait_for(FAILED, "the page hid the failure")
        assert page.text("#problem-title") == "Not enough room for the model"
        assert "private window" in page.text("#problem-advice")
        page.evaluate("void (Cache.prototype.put = globalThis.put)")
        page.click("#retry")
        page.wait_for("html[data-state=loading]", "no second try")
        page.wait_for(FAILED, "the page hid the failure")
        # Past the download now: it is the library that cannot run.
        assert page.text("#problem-title") == "The model could not be started"
        page.close()
