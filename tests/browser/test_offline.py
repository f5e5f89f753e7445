"""The page without a network, after a redeploy, and on a host that sends no headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser.faults import faulty_server, profile
from tests.site_inputs import configuration, context, write_inputs
from webslm.bundle.http_rules import FOREVER
from webslm.proof import browser
from webslm.proof.browser import Session, Tab
from webslm.stages import bundle

pytestmark = pytest.mark.browser
IDLE = "html[data-state=idle]"
OFFLINE = "html[data-offline=ready]"
TIMEOUT_S = 30.0
DOWNLOAD = """async () => {
    const { readConfig } = await import("./config.js");
    const { download } = await import("./download.js");
    await download((await readConfig()).model, () => {});
}"""


def build(folder: Path, title: str = "First", shard: bytes = b"\0" * 64) -> Path:
    cfg = configuration()
    cfg = replace(cfg, app=replace(cfg.app, title=title))
    inputs = write_inputs(folder / title, shard=shard)
    bundle.run(cfg, inputs, folder / title / "bundle", context(folder))
    return folder / title / "bundle"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("first"))


@pytest.fixture
def session() -> Iterator[Session]:
    with browser.session(None, timeout_s=TIMEOUT_S) as found:
        yield found


def visit(session: Session, url: str) -> Tab:
    tab = session.tab()
    tab.open(url)
    tab.wait_for(IDLE, "the page did not start")
    tab.wait_for(OFFLINE, "the page did not become ready for offline use")
    return tab


def test_after_the_first_visit_no_network_is_needed(first: Path, tmp_path: Path) -> None:
    with profile(tmp_path, timeout_s=TIMEOUT_S) as found:
        with faulty_server(first) as (url, faults):
            faults.headers["Cache-Control"] = FOREVER
            tab = visit(found, url)
            tab.call(DOWNLOAD, None, "downloading")
            asked = [name for name, _ in faults.requests]
        # Nothing listens there any more.
        tab.open(url)
        tab.wait_for(IDLE, "the page did not start without a network")
        assert tab.text("#load") == "Start the model"
        tab.call(DOWNLOAD, None, "using what is kept")
        assert tab.evaluate("crossOriginIsolated")
        assert tab.observed.console_errors == []
    with profile(tmp_path, timeout_s=TIMEOUT_S) as found:
        tab = found.tab()
        tab.open(url)
        tab.wait_for(IDLE, "the page did not start in a new browser without a network")
        assert tab.text("#load") == "Start the model"
        assert tab.text("h1") == "First"
        tab.call(DOWNLOAD, None, "using what is kept")
        assert tab.observed.console_errors == []
    # The service worker takes from the browser's cache what the page has fetched.
    own = [name for name in asked if name.startswith("app/") and "/icons/" not in name]
    assert any(name.endswith("web-llm.js") for name in own)
    assert len(own) == len(set(own))
    twice = {name for name, count in Counter(asked).items() if count > 1}
    assert twice <= {"index.html", "app.webmanifest"}


def test_a_new_build_waits_for_a_reload_and_leaves_an_open_tab_whole(
    first: Path, session: Session, tmp_path: Path
) -> None:
    second = build(tmp_path, "Second", b"\1" * 64)
    with faulty_server(first) as (url, faults):
        old = visit(session, url)
        app = old.evaluate("document.baseURI")
        faults.folder = second
        new = session.tab()
        new.open(url)
        new.wait_for("#update:not([hidden])", "the new build was not offered")
        assert new.text("#update-now") == "Reload now"
        assert new.text("h1") == "First"
        new.click("#update-now")
        new.wait_for("h1:text('Second')", "the new build was not taken")
        new.wait_for(IDLE, "the new build did not start")
        assert new.evaluate("document.baseURI") != app
        new.call(DOWNLOAD, None, "downloading the new weights")
        # The old tab imports what it had not needed so far, from the build it belongs to.
        old.wait_for("#update:not([hidden])", "the old tab was not told")
        lazy = """async () => Object.keys(await import("./selftest.js"))"""
        assert old.call(lazy, None, "importing an old module") == ["compare", "selfTest"]
        assert old.evaluate("document.baseURI") == app
        assert not any("app/" in name and "404" in name for name, _ in faults.requests)
        assert new.observed.console_errors + old.observed.console_errors == []


def test_only_files_that_changed_are_fetched_for_a_new_build(
    first: Path, session: Session, tmp_path: Path
) -> None:
    second = build(tmp_path, "Second", b"\1" * 64)
    with faulty_server(first) as (url, faults):
        visit(session, url)
        faults.folder = second
        faults.requests.clear()
        new = session.tab()
        new.open(url)
        new.wait_for("#update:not([hidden])", "the new build was not offered")
        fetched = {name.split("/", 2)[-1] for name, _ in faults.requests}
    fixed = {"index.html", "app.webmanifest", "model-record.json", "webslm.js", "sw.js"}
    assert {*fixed, "webslm.json"} >= fetched


def test_a_wrong_page_file_is_never_kept(first: Path, session: Session) -> None:
    with faulty_server(first) as (url, faults):
        faults.corrupt = {"product.js": b"export const fill = () => {};\n"}
        tab = session.tab()
        tab.open(url)
        tab.wait_for(IDLE, "the page did not start")
        tab.call(
            """async () => {
                const registration = await navigator.serviceWorker.getRegistration();
                const worker = registration?.installing;
                while (worker && worker.state !== "redundant") {
                    await new Promise((resolve) => setTimeout(resolve, 50));
                }
            }""",
            None,
            "waiting for the service worker to give up",
        )
        assert tab.evaluate("navigator.serviceWorker.controller") is None
        assert faults.asked("product.js") == [None, None]


def test_a_plain_host_without_headers_is_enough(first: Path, session: Session) -> None:
    with faulty_server(first) as (url, faults):
        faults.headers = {}
        tab = visit(session, url)
        assert not tab.evaluate("crossOriginIsolated")
        tab.open(url)
        tab.wait_for(IDLE, "the page did not start again")
        # The service worker adds what the host does not send.
        assert tab.evaluate("crossOriginIsolated")
        assert tab.observed.console_errors == []


def test_what_is_kept_is_told_and_removed_with_one_click(first: Path, session: Session) -> None:
    with faulty_server(first) as (url, _):
        tab = visit(session, url)
        tab.call(DOWNLOAD, None, "downloading")
        tab.open(url)
        tab.wait_for(IDLE, "the page did not start again")
        tab.click("#tab-about")
        tab.wait_for("#kept-bytes:not(:empty)", "nothing was said about storage")
        assert "both work without a network" in tab.text("#kept-bytes")
        tab.click("#forget")
        tab.wait_for(IDLE, "the page did not start again")
        tab.wait_for("#kept-bytes:text('0 B of model')", "the model is still there")
        assert tab.text("#load").startswith("Load the model (")


def test_a_removed_model_is_said_to_be_removed(first: Path, session: Session) -> None:
    with faulty_server(first) as (url, _):
        tab = visit(session, url)
        tab.call(DOWNLOAD, None, "downloading")
        tab.call("async () => caches.delete('webllm/model')", None, "evicting")
        tab.open(url)
        tab.wait_for(IDLE, "the page did not start again")
        tab.click("#preflight summary")
        assert "removed the model to make room" in tab.text("#preflight-checks")


def test_the_page_can_be_installed_as_an_app(first: Path, session: Session) -> None:
    with faulty_server(first) as (url, _):
        tab = visit(session, url)
        found = tab.call(
            """async () => {
                const link = document.querySelector("link[rel=manifest]").href;
                const manifest = await (await fetch(link)).json();
                const sizes = await Promise.all(manifest.icons.map(async ({ src }) => {
                    const image = await createImageBitmap(
                        await (await fetch(new URL(src, link))).blob());
                    return `${image.width}x${image.height}`;
                }));
                return { manifest, sizes, start: new URL(manifest.start_url, link).href };
            }""",
            None,
            "reading the app's manifest",
        )
    assert found["sizes"] == [icon["sizes"] for icon in found["manifest"]["icons"]]
    assert found["start"] == url
    assert found["manifest"]["display"] == "standalone"
    assert {icon["purpose"] for icon in found["manifest"]["icons"]} == {"any", "maskable"}
