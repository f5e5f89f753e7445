"""A server that dies at ten random points of a first visit: the next visit ends in an answer."""

from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path

import pytest

from tests.browser.chain import make_site
from tests.browser.faults import faulty_server
from webslm.basics.errors import VerificationFailed
from webslm.basics.fs import tree_files
from webslm.proof import browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TIMEOUT_S = 180.0
KILLS = 10
LAST = "#log > li:last-child"
STARTED = "html[data-state=idle]"
ENDED = "html[data-state=ready], html[data-state=failed]"


@pytest.mark.parametrize("number", range(KILLS))
def test_the_visit_after_a_kill_ends_in_an_answer(root: Path, tmp_path: Path, number: int) -> None:
    site = make_site(root, tmp_path / "site", max_tokens=8)
    size = sum(path.stat().st_size for path in tree_files(site))
    # Evenly spread, so that page, library and weights are all hit.
    point = random.Random(number).randrange(size * number // KILLS, size * (number + 1) // KILLS)
    with browser.session(None, timeout_s=TIMEOUT_S) as session:
        with faulty_server(site) as (url, faults):
            faults.budget = point
            port = int(url.rstrip("/").rsplit(":", 1)[1])
            tab = session.tab()
            # How far the page gets depends on the point; it may not even start.
            with contextlib.suppress(VerificationFailed):
                tab.open(url)
                tab.wait_for(STARTED, "the page did not start", timeout_s=5)
                tab.click("#load")
            ends = time.monotonic() + 20
            while faults.budget > 0 and time.monotonic() < ends:
                time.sleep(0.02)
            left = faults.budget
        # Nothing listens there any more; the visitor gives up.
        tab.close()
        with faulty_server(site, port) as (url, faults):
            tab = session.tab()
            tab.open(url)
            tab.wait_for(STARTED, "the page did not start")
            tab.click("#load")
            tab.wait_for(ENDED, "the model was not loaded")
            assert tab.evaluate("document.documentElement.dataset.state") == "ready"
            tab.fill("#input", "Question?")
            tab.press("Enter")
            tab.wait_for(f"{LAST}.assistant[data-state=done]", "the answer did not end")
            assert tab.text(f"{LAST} .text").strip()
            # Only the last points lie beyond what a visit downloads.
            assert left == 0 or number == KILLS - 1
