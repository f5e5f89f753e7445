"""The page in a real browser, with a model that cannot run: it must say so in plain words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site_inputs import SYSTEM_PROMPT, configuration, context, write_inputs
from webslm.basics.errors import EnvironmentMismatch, VerificationFailed
from webslm.bundle.serve import running_server
from webslm.proof import browser
from webslm.proof.browser import Session, Tab
from webslm.stages import bundle

pytestmark = pytest.mark.browser
TIMEOUT_S = 30.0
IDLE = "html[data-state=idle]"
FAILED = "html[data-state=failed]"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    bundle.run(configuration(), write_inputs(folder), folder / "bundle", context(folder))
    return folder / "bundle"


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with running_server(site, prefix="/a/b/") as address:
        yield address


@pytest.fixture
def session() -> Iterator[Session]:
    with browser.session(None, timeout_s=TIMEOUT_S) as found:
        yield found


def visit(session: Session, url: str, *, width: int = 1280) -> Tab:
    tab = session.tab(width=width, height=740)
    tab.open(url)
    tab.wait_for(IDLE, "the page did not start")
    return tab


def test_page_starts_under_a_sub_path_and_asks_no_other_host(session: Session, url: str) -> None:
    tab = visit(session, url)
    assert tab.observed.console_errors == []
    assert tab.observed.foreign_requests == []
    asked = [request for request in tab.observed.requests if not request.startswith("data:")]
    assert len(asked) > 5
    assert all(request.startswith(url) for request in asked)


@pytest.mark.parametrize("width", [360, 1280])
def test_first_view_is_light_and_keeps_still(session: Session, url: str, width: int) -> None:
    """Lighthouse's budgets, those that no clock decides: bytes, requests, elements, shifts."""
    seen = visit(session, url, width=width).call(
        """async () => {
            const shifts = [];
            new PerformanceObserver((list) => shifts.push(...list.getEntries()))
                .observe({ type: "layout-shift", buffered: true });
            await new Promise((resolve) => { setTimeout(resolve, 300); });
            const entries = [...performance.getEntriesByType("navigation"),
                ...performance.getEntriesByType("resource")];
            return { names: entries.map(({ name }) => name),
                bytes: entries.reduce((sum, entry) => sum + entry.encodedBodySize, 0),
                elements: document.querySelectorAll("*").length,
                shift: shifts.reduce((sum, { value }) => sum + value, 0) };
        }""",
        None,
        "measuring",
    )
    assert not any("web-llm" in name or "/resolve/" in name for name in seen["names"])
    assert seen["bytes"] < 100_000
    assert len(seen["names"]) < 50
    assert seen["elements"] < 800
    assert seen["shift"] < 0.1


def test_page_shows_texts_as_text(session: Session, url: str) -> None:
    tab = visit(session, url)
    assert tab.text("h1") == "Example <assistant>"
    assert tab.text("#disclaimer") == 'Can be wrong & is not advice; see "About".'
    assert tab.text("#questions") == "What is it?\n<i>Why?</i>"
    tab.click("#told summary")
    assert tab.text("#system-prompt") == SYSTEM_PROMPT


def test_page_runs_no_injected_script(session: Session, url: str) -> None:
    tab = visit(session, url)
    tab.evaluate(
        """(() => {
            const script = document.createElement("script");
            script.textContent = "globalThis.injected = true";
            document.body.append(script);
            document.body.insertAdjacentHTML(
                "beforeend", "<img src='nothing.png' onerror='globalThis.injected = true'>");
        })()"""
    )
    time.sleep(0.3)
    assert tab.evaluate("globalThis.injected") is None
    assert any("Content Security Policy" in text for text in tab.observed.console_errors)


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_page_never_scrolls_sideways(session: Session, url: str, width: int) -> None:
    tab = visit(session, url, width=width)
    for name in ("told", "sampling", "kept"):
        tab.click(f"#{name} summary")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.click("#tab-about")
    tab.wait_for("#panel-about[data-filled]", "the tab was not filled")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_page_can_be_used_with_the_keyboard(session: Session, url: str) -> None:
    tab = visit(session, url)
    tab.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "tab-chat"
    tab.press("ArrowRight")
    assert tab.evaluate("document.activeElement.id") == "tab-about"
    assert not tab.evaluate("document.querySelector('#panel-about').hidden")
    tab.press("ArrowRight")
    assert not tab.evaluate("document.querySelector('#panel-chat').hidden")
    tab.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "load"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("Enter")
    tab.wait_for(FAILED, "the load did not start")


def test_page_follows_the_colour_scheme_and_keeps_still(url: str) -> None:
    colours = []
    for dark in (False, True):
        with browser.session(None, timeout_s=TIMEOUT_S, dark=dark) as found:
            tab = visit(found, url)
            colours.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert tab.evaluate("matchMedia('(prefers-reduced-motion: reduce)').matches")
    assert colours[0] != colours[1]


def test_page_says_in_plain_words_that_the_model_cannot_run(session: Session, url: str) -> None:
    tab = visit(session, url)
    tab.click("#load")
    tab.wait_for(FAILED, "the page hid the failure")
    assert tab.text("#problem-title") == "The model could not be started"
    assert tab.text("#status") == "Stopped"
    assert tab.text("#retry") == "Try again"
    tab.click("#problem summary")
    assert "TypeError" in tab.text("#problem-details")
    tab.click("#retry")
    tab.wait_for(FAILED, "the second try hid the failure")


def test_page_without_webgpu_says_what_to_do(url: str) -> None:
    with browser.session(None, timeout_s=TIMEOUT_S, webgpu=False) as found:
        tab = found.tab()
        tab.open(url)
        tab.wait_for("html[data-state=unsupported]", "the page did not notice")
        assert tab.text("#problem-title") == "This browser cannot use the graphics chip"
        assert "Chrome or Edge" in tab.text("#problem-advice")
        assert tab.observed.console_errors == []


def test_missing_weights_are_a_download_problem(tmp_path: Path, session: Session) -> None:
    out = tmp_path / "bundle"
    bundle.run(configuration(), write_inputs(tmp_path), out, context(tmp_path))
    next(out.rglob("params_shard_0.bin")).unlink()
    with running_server(out) as address:
        tab = visit(session, address)
        tab.click("#load")
        tab.wait_for(FAILED, "the page hid the failure")
        assert tab.text("#problem-title") == "A file could not be downloaded"
        tab.click("#problem summary")
        assert "params_shard_0.bin: the server answered 404" in tab.text("#problem-details")


def test_one_changed_byte_is_refused_and_not_kept(tmp_path: Path, session: Session) -> None:
    out = tmp_path / "bundle"
    bundle.run(configuration(), write_inputs(tmp_path), out, context(tmp_path))
    shard = next(out.rglob("params_shard_0.bin"))
    good = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(b"\1" + good[1:])
    with running_server(out) as address:
        tab = visit(session, address)
        tab.click("#load")
        tab.wait_for(FAILED, "the page took a changed shard")
        assert tab.text("#problem-title") == "A file arrived broken"
        assert tab.text("#problem-text").startswith("params_shard_0.bin ")
        shard.write_bytes(good)
        tab.click("#retry")
        tab.wait_for("html[data-state=loading]", "no second try")
        tab.wait_for(FAILED, "the page hid the failure")
        # Past the download now: it is the library that cannot run.
        assert tab.text("#problem-title") == "The model could not be started"


def test_delete_removes_what_the_browser_kept(session: Session, url: str) -> None:
    tab = visit(session, url)
    tab.click("#load")
    tab.wait_for(FAILED, "the page hid the failure")
    count = "async () => (await (await caches.open('webllm/model')).keys()).length"
    assert tab.call(count, None, "counting") == 3
    tab.click("#tab-about")
    tab.click("#forget")
    tab.wait_for(IDLE, "the page did not start again")
    assert tab.call(count, None, "counting") == 0


@pytest.mark.parametrize(
    ("error", "printed", "title", "shown"),
    [
        (
            "RuntimeError: unreachable",
            ["loading", "InternalError: Check failed: (n == 3) is false"],
            "The model stopped with an internal error",
            "It said: InternalError: Check failed: (n == 3) is false",
        ),
        ("QuotaExceededError: x", [], "Not enough room for the model", "refused to store"),
        ("DeviceLostError: x", [], "The graphics chip was taken away", "took the graphics"),
        (
            "ContextWindowSizeExceededError: x",
            [],
            "This conversation is too long",
            "limited amount",
        ),
        ("TypeError: Failed to fetch", [], "A file could not be downloaded", "did not deliver"),
        ("no idea", [], "Something went wrong", "does not know"),
    ],
)
def test_errors_become_plain_words(
    session: Session, url: str, error: str, printed: list[str], title: str, shown: str
) -> None:
    tab = visit(session, url)
    problem = tab.call(
        """async ({ error, printed }) => {
            const { explain } = await import("./problem.js");
            const { title, text, details } = explain(error, printed);
            return { title, text, details };
        }""",
        {"error": error, "printed": printed},
        "explaining",
    )
    assert problem["title"] == title
    assert shown in problem["text"]
    assert problem["details"].endswith(error)


def test_a_page_that_spins_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><script src='spin.js' defer></script>")
    (tmp_path / "spin.js").write_text("setTimeout(() => { for (;;); }, 200);")
    began = time.monotonic()
    with running_server(tmp_path) as address, browser.session(None, timeout_s=3) as found:
        tab = found.tab()
        tab.open(address)
        with pytest.raises(VerificationFailed, match="never ready: nothing after 3 s"):
            tab.wait_for("html[data-state=ready]", "never ready")
    assert time.monotonic() - began < 30


def test_a_named_browser_that_is_absent_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentMismatch, match=r"verify\.browser: no browser at 'nothing'"):
        browser.find("nothing")
    monkeypatch.setenv(browser.VARIABLE, "/nowhere/chrome")
    with pytest.raises(EnvironmentMismatch, match="WEBSLM_BROWSER: no browser"):
        browser.find(None)


def test_a_browser_that_is_too_old_is_refused() -> None:
    with (
        pytest.raises(EnvironmentMismatch, match="is too old, 9999 is the lowest"),
        browser.session(None, timeout_s=5, minimum=9999),
    ):
        pass
