"""The download against a server that fails: resumed, checked, named; never half a model."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.faults import Faulty, faulty_server
from tests.site_inputs import configuration, context, write_inputs
from webslm.proof import browser
from webslm.proof.browser import Session, Tab
from webslm.stages import bundle

pytestmark = pytest.mark.browser
IDLE = "html[data-state=idle]"
SHARD = "params_shard_0.bin"
SHARD_BYTES = 11 << 20
KINDS = (".wasm", "mlc-chat-config.json", "tokenizer.json", "tensor-cache.json", SHARD)
DOWNLOAD = """async ({ features }) => {
    const { readConfig } = await import("./config.js");
    const { download, isDownloaded } = await import("./download.js");
    const { model } = await readConfig();
    const seen = [];
    const result = { error: null, details: "" };
    try {
        await download(model, (state) => seen.push(state));
    } catch (error) {
        result.error = error.title ?? String(error);
        result.text = error.text ?? "";
        result.advice = error.advice ?? "";
        result.details = error.details ?? "";
    }
    const parts = await (await caches.open("webslm/parts")).keys();
    return { ...result, whole: await isDownloaded(model), parts: parts.length,
        done: seen.at(-1)?.done ?? 0, first: seen[0]?.done ?? 0, total: model.bytes,
        falls: seen.some(({ done }, i) => i > 0 && done < seen[i - 1].done) };
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    shard = random.Random(0).randbytes(SHARD_BYTES)
    inputs = write_inputs(folder, shard=shard)
    bundle.run(configuration(), inputs, folder / "bundle", context(folder))
    return folder / "bundle"


@pytest.fixture(scope="module")
def engine() -> Iterator[browser.Session]:
    with browser.session(None, timeout_s=60) as found:
        yield found


@pytest.fixture
def server(site: Path) -> Iterator[tuple[str, Faulty]]:
    with faulty_server(site) as found:
        yield found


@pytest.fixture
def tab(engine: Session, server: tuple[str, Faulty]) -> Iterator[Tab]:
    page = open_page(engine, server[0])
    yield page
    page.close()


def open_page(engine: Session, url: str) -> Tab:
    page = engine.tab()
    page.open(url)
    page.wait_for(IDLE, "the page did not start")
    return page


def download(tab: Tab) -> dict[str, Any]:
    found: dict[str, Any] = tab.call(DOWNLOAD, {"features": []}, "downloading")
    return found


def test_download_keeps_every_file_and_asks_for_each_once(
    tab: Tab, server: tuple[str, Faulty]
) -> None:
    result = download(tab)
    assert result["error"] is None
    assert result["whole"]
    assert result["done"] == result["total"]
    assert not result["falls"]
    assert result["parts"] == 0
    assert [server[1].asked(kind) for kind in KINDS] == [[None]] * len(KINDS)
    again = download(tab)
    assert again["error"] is None
    assert again["first"] > 0
    assert [len(server[1].asked(kind)) for kind in KINDS] == [1] * len(KINDS)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_dropped_connection_goes_on_where_it_stopped(
    tab: Tab, server: tuple[str, Faulty], ranges: bool
) -> None:
    faults = server[1]
    faults.ranges = ranges
    faults.cuts = {SHARD: [5 << 20]}
    result = download(tab)
    assert result["error"] is None
    assert result["whole"]
    assert not result["falls"]
    last = faults.asked(SHARD)[-1]
    assert last is not None
    # What the browser had not yet handed to the page when the connection broke is asked again.
    assert 4 << 20 <= int(last.removeprefix("bytes=").removesuffix("-")) <= 5 << 20


def test_ten_visits_that_break_off_end_in_a_whole_model(site: Path, engine: Session) -> None:
    rolls = random.Random(1)
    with faulty_server(site) as (url, faults):
        for _ in range(10):
            page = open_page(engine, url)
            faults.only, faults.budget = "/resolve/", rolls.randrange(1, 2 << 20)
            page.evaluate(
                "void Promise.all([import('./config.js'), import('./download.js')]).then("
                "async ([c, d]) => d.download((await c.readConfig()).model, () => {}))"
            )
            page.wait_for("body", "no page")
            spent(faults)
            # The visitor gives up: whatever the page does then, it does not do it.
            page.close()
            faults.budget = None
        page = open_page(engine, url)
        sent = faults.sent
        result = download(page)
        page.close()
        assert result["error"] is None
        assert result["whole"]
        assert result["parts"] == 0
        assert result["first"] > 0
        assert faults.sent - sent < result["total"]


def spent(faults: Faulty) -> None:
    """Wait until the server has cut the connection."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        if faults.budget == 0:
            return
        time.sleep(0.02)
    raise AssertionError("the page asked for nothing")


@pytest.mark.parametrize(
    "seeds", [range(2), pytest.param(range(2, 10), marks=pytest.mark.slow)], ids=["2", "8 more"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_corrupted_file_is_fetched_once_more_then_named_and_never_kept(
    tab: Tab, server: tuple[str, Faulty], site: Path, kind: str, seeds: range
) -> None:
    """Each time one random bit of the file is another."""
    faults = server[1]
    good = next(path for path in site.rglob(f"*{kind}") if "app" not in path.parts).read_bytes()
    for seed in seeds:
        rolls = random.Random(seed)
        bad = bytearray(good)
        bad[rolls.randrange(len(bad))] ^= 1 << rolls.randrange(8)
        faults.corrupt = {kind: bytes(bad)}
        faults.requests.clear()
        result = download(tab)
        assert result["error"] == "A file arrived broken"
        assert kind in result["text"]
        assert faults.asked(kind) == [None, None]
        assert not result["whole"]
        assert tab.call(KEPT, kind, "looking") == 0
    faults.corrupt = {}
    assert download(tab)["whole"]


KEPT = """async (end) => {
    const names = (await caches.keys()).filter((name) => name.startsWith("webllm/"));
    const kept = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return kept.flat().filter(({ url }) => url.endsWith(end)).length;
}"""


def test_a_truncated_file_is_named(tab: Tab, server: tuple[str, Faulty], site: Path) -> None:
    shard = next(site.rglob(SHARD)).read_bytes()
    server[1].corrupt = {SHARD: shard[: len(shard) // 2]}
    result = download(tab)
    assert result["error"] == "A file arrived broken"
    assert SHARD in result["text"]


def test_a_kept_file_that_changed_is_found_and_fetched_again(
    tab: Tab, server: tuple[str, Faulty]
) -> None:
    assert download(tab)["whole"]
    tab.call(
        """async (end) => {
            const cache = await caches.open("webllm/model");
            const { url } = (await cache.keys()).find((request) => request.url.endsWith(end));
            const bytes = new Uint8Array(await (await cache.match(url)).arrayBuffer());
            bytes[1234] ^= 1;
            await cache.put(url, new Response(bytes));
        }""",
        SHARD,
        "damaging",
    )
    server[1].requests.clear()
    assert download(tab)["whole"]
    assert server[1].asked(SHARD) == [None]


def test_a_file_that_is_gone_says_that_the_site_was_updated(
    tab: Tab, server: tuple[str, Faulty]
) -> None:
    server[1].answers[SHARD] = [404]
    result = download(tab)
    assert result["error"] == "A file could not be downloaded"
    assert "Reload the page" in result["advice"]
    assert f"{SHARD}: the server answered 404" in result["details"]
    assert len(server[1].asked(SHARD)) == 1


def test_a_server_that_is_busy_is_asked_again(tab: Tab, server: tuple[str, Faulty]) -> None:
    faults = server[1]
    faults.answers[SHARD] = [503, 429]
    result = download(tab)
    assert result["error"] is None
    assert result["whole"]
    assert len(faults.asked(SHARD)) == 3


def test_two_tabs_download_each_file_once(engine: Session, site: Path) -> None:
    with faulty_server(site) as (url, faults):
        tabs = [open_page(engine, url) for _ in range(2)]
        faults.block_s = 0.002
        start = (
            "void Promise.all([import('./config.js'), import('./download.js')]).then("
            "async ([c, d]) => d.download((await c.readConfig()).model, () => {}))"
        )
        tabs[0].evaluate(start)
        result = download(tabs[1])
        assert result["whole"]
        assert [len(faults.asked(kind)) for kind in KINDS] == [1] * len(KINDS)
        for tab in tabs:
            tab.close()


@pytest.mark.parametrize("where", ["before", "during"])
def test_a_full_disk_is_said_in_plain_words(tab: Tab, where: str) -> None:
    if where == "before":
        tab.evaluate("navigator.storage.estimate = async () => ({ quota: 2e6, usage: 1e6 })")
    else:
        tab.evaluate(
            "void (Cache.prototype.put = async () => {"
            " throw new DOMException('full', 'QuotaExceededError'); })"
        )
    result = download(tab)
    assert result["error"] == "Not enough room for the model"
    assert not result["whole"]
