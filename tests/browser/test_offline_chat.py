"""A model that runs: chat, cut the network, reload and chat, start a new browser and chat."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chain import TIMEOUT_S, make_site
from tests.browser.faults import faulty_server, profile
from webslm.proof.browser import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LAST = "#log > li:last-child"


def chat(tab: Tab, url: str) -> None:
    tab.open(url)
    tab.wait_for("html[data-state=idle]", "the page did not start")
    tab.click("#load")
    tab.wait_for("html[data-state=ready], html[data-state=failed]", "the model was not loaded")
    assert tab.evaluate("document.documentElement.dataset.state") == "ready"
    tab.fill("#input", "Question?")
    tab.press("Enter")
    tab.wait_for(f"{LAST}.assistant:not([data-state=waiting])", "no piece of an answer came")
    tab.wait_for("html[data-state=ready]", "the answer did not end")
    assert tab.text(f"{LAST} .text").strip()


def test_chat_goes_on_without_a_network_and_in_a_new_browser(root: Path, tmp_path: Path) -> None:
    site = make_site(root, tmp_path / "site", max_tokens=8)
    with profile(tmp_path / "profile", timeout_s=TIMEOUT_S) as session:
        tab = session.tab()
        with faulty_server(site) as (url, _):
            chat(tab, url)
            tab.wait_for("html[data-offline=ready]", "not ready for offline use")
        # Nothing listens there any more.
        chat(tab, url)
        assert tab.observed.console_errors == []
    with profile(tmp_path / "profile", timeout_s=TIMEOUT_S) as session:
        tab = session.tab()
        chat(tab, url)
        assert tab.observed.console_errors == []
        assert tab.observed.webgpu_errors == []
