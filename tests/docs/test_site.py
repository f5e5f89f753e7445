"""The documentation builds strictly, and in a browser it asks no other host for anything."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from webslm.basics.paths import PACKAGE
from webslm.proof.browser import session

CHECKOUT = PACKAGE.parent


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Stay silent."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = (sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder))
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_every_page_is_in_the_navigation(site: Path) -> None:
    pages = {path.relative_to(CHECKOUT / "docs") for path in (CHECKOUT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert {page.with_suffix(".html") for page in pages} <= built
    index = (site / "index.html").read_text(encoding="utf-8")
    assert [page for page in pages if f'href="{page.with_suffix(".html")}"' not in index] == []


@pytest.mark.browser
def test_pages_ask_no_other_host_and_find_words(address: str) -> None:
    asked: list[str] = []
    with session(None, timeout_s=60, minimum=113) as browser:
        page = browser.tab()._page
        page.on("request", lambda request: asked.append(request.url))
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        for name in ("index.html", "reference/keys.html", "troubleshooting.html"):
            page.goto(address + name)
        page.click("[data-md-component=search-query]")
        page.keyboard.type("shader-f16")
        page.wait_for_selector(".md-search-result__item")
    assert problems == []
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
