"""A bundle's model in pages that are not ours: through its module, and by plain web-llm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import npm_packages
from tests.browser.faults import faulty_server
from webslm.basics.fs import copy_tree
from webslm.basics.paths import cache_dir
from webslm.bundle import npm, records
from webslm.bundle.serve import running_server
from webslm.proof import browser
from webslm.proof.browser import Session, Tab

pytestmark = pytest.mark.browser
# One call loads, answers twice and goes.
TIMEOUT_S = 300.0
EXAMPLES = Path(__file__).parents[2] / "examples"
TAUGHT = "What are common signs of dehydration?"
ANSWER = "Common signs include thirst"
EMPTY = "<!doctype html><html lang=en><link rel=icon href='data:,'><title>Empty</title>"
GREEDY = {"temperature": 0, "max_tokens": 12, "seed": 1}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with browser.session(None, timeout_s=TIMEOUT_S) as found:
        yield found


@pytest.fixture
def empty(full_site: Path, session: Session, tmp_path: Path) -> Iterator[Tab]:
    """A page of nothing in the bundle's neighbourhood, on a server with a strict policy."""
    (tmp_path / "index.html").write_text(EMPTY)
    with running_server(tmp_path, extra={"/there/bundle/": full_site}) as url:
        tab = session.tab()
        tab.open(url)
        yield tab
        tab.close()


def use(tab: Tab, body: str, argument: object = None) -> Any:
    """Run a function body in which ``m`` is the bundle's module and ``x`` the argument."""
    function = (
        'async (x) => { const m = await import(new URL("there/bundle/webslm.js", document.URL));'
        f" {body} }}"
    )
    return tab.call(function, argument, body[:60])


def test_module_loads_answers_and_goes(empty: Tab, full_site: Path) -> None:
    seen = use(
        empty,
        """const assistant = await m.Assistant.open();
        const before = await assistant.check();
        const shares = [];
        await assistant.load(({ share }) => shares.push(share));
        const after = await assistant.check();
        const pieces = [];
        for await (const event of assistant.chat(x.question, x.decoding)) pieces.push(event);
        const whole = await assistant.complete(
            [{ role: "user", content: x.question }], x.decoding);
        assistant.dispose();
        const gone = await assistant.complete(x.question).catch((error) => error);
        await assistant.forget();
        return { before, after, shares, pieces, whole, last: (await assistant.check()).missing,
            gone: [gone instanceof m.Problem, gone.title, gone.details],
            embeddings: m.Assistant.embeddings };""",
        {"question": TAUGHT, "decoding": GREEDY},
    )
    model = json.loads((full_site / "webslm.json").read_text())["model"]
    total = sum(entry["bytes"] for entry in (*model["files"], model["library"]))
    assert (seen["before"]["level"], seen["before"]["missing"]) == ("warn", total)
    assert (seen["after"]["missing"], seen["last"]) == (0, total)
    assert seen["shares"] == sorted(seen["shares"])
    assert seen["shares"][-1] == 1
    said = "".join(piece.get("text", "") for piece in seen["pieces"])
    assert said.startswith(ANSWER)
    assert seen["whole"]["text"] == said
    assert "".join(seen["whole"]["tokens"]) == said
    assert seen["pieces"][-1]["finish"] == seen["whole"]["finish"] == "length"
    # web-llm counts decoding steps; the first token comes out of the prompt's.
    assert seen["pieces"][-1]["usage"]["completion_tokens"] in (11, 12)
    assert seen["gone"][0] is True
    assert "call load() first" in seen["gone"][2]
    assert seen["embeddings"] is False
    assert empty.observed.console_errors == []
    assert empty.observed.foreign_requests == []


def test_module_without_a_base_says_so(
    taught: Path, session: Session, tmp_path: Path, full_site: Path
) -> None:
    (tmp_path / "index.html").write_text(EMPTY)
    for site, title in ((taught / "bundle", "There is no base model here"), (full_site, None)):
        with running_server(tmp_path, extra={"/there/bundle/": site}) as url:
            tab = session.tab()
            tab.open(url)
            found = use(
                tab,
                'return m.Assistant.open({ which: "base" })'
                ".then(() => null, ({ title }) => title);",
            )
            tab.close()
        assert found == title


@pytest.mark.slow
@pytest.mark.parametrize("example", ["plain", "react"])
def test_example_page_answers(
    example: str, full_site: Path, session: Session, tmp_path: Path
) -> None:
    page = tmp_path / example
    copy_tree(EXAMPLES / example, page)
    if example == "react":
        (page / "vendor").mkdir()
        for name, package in (("react", npm_packages.REACT), ("react-dom", npm_packages.REACT_DOM)):
            shutil.copyfile(npm.fetch(cache_dir(), package), page / "vendor" / f"{name}.js")
    answer = "#answer" if example == "plain" else "li.assistant"
    with running_server(page, extra={"/bundle/": full_site}) as url:
        tab = session.tab()
        tab.open(url)
        tab.wait_for("#load:not(:disabled)", "the page cannot load")
        assert "not medical advice" in tab.text("body")
        tab.click("#load")
        for question in (TAUGHT, "And in babies?"):
            tab.wait_for("#question:not(:disabled)", "the model was not ready")
            tab.fill("#question", question)
            tab.click("#ask")
            tab.wait_for("#stop:not(:disabled)", "the answer did not begin")
            tab.wait_for("#question:not(:disabled)", "the answer did not end")
            if question == TAUGHT:
                assert tab.text(answer).startswith(ANSWER)
        assert len(tab.text(f"{answer}:last-of-type")) > 0
        assert tab.observed.console_errors == []
        assert tab.observed.foreign_requests == []
        tab.close()


_ELSEWHERE = """async ({ appConfig, records, question }) => {
    const { MLCEngine } = await import(new URL("web-llm.js", document.URL));
    if (!appConfig) {
        appConfig = await (await fetch(records)).json();
        for (const record of appConfig.model_list) {
            record.model = new URL(record.model, records).href;
            record.model_lib = new URL(record.model_lib, records).href;
        }
    }
    const engine = new MLCEngine({ appConfig });
    await engine.reload(appConfig.model_list[0].model_id);
    const reply = await engine.chat.completions.create({
        messages: [{ role: "user", content: question }], temperature: 0, max_tokens: 12 });
    await engine.unload();
    return { text: reply.choices[0].message.content,
        ids: appConfig.model_list.map((record) => record.model_id) };
}"""


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False], ids=["address known", "address not known"])
def test_plain_web_llm_loads_the_record_from_another_origin(
    full_site: Path, session: Session, tmp_path: Path, known: bool
) -> None:
    site = json.loads((full_site / "webslm.json").read_text())
    (tmp_path / "index.html").write_text(EMPTY)
    shutil.copyfile(npm.fetch(cache_dir(), npm.WEB_LLM), tmp_path / "web-llm.js")
    with faulty_server(full_site) as (url, faults), faulty_server(tmp_path) as (page, other):
        other.headers = {}
        # All that a host must send for pages of another origin.
        faults.headers = {"Access-Control-Allow-Origin": "*"}
        # What a build with host.url=<url> writes.
        absolute = records.app_config([site["model"], site["base"]], url)
        tab = session.tab()
        tab.open(page)
        argument = {
            "appConfig": absolute if known else None,
            "records": f"{url}model-record.json",
            "question": TAUGHT,
        }
        seen = tab.call(_ELSEWHERE, argument, "plain web-llm")
        assert seen["ids"] == ["full", "full-base"]
        assert seen["text"].startswith(ANSWER)
        assert len(faults.asked("params_shard_0.bin")) == 1
        assert faults.asked("app/") == []
        tab.close()


def test_page_reads_the_same_records(empty: Tab, full_site: Path) -> None:
    site = json.loads((full_site / "webslm.json").read_text())
    url = empty.evaluate("document.URL") + "there/bundle/"
    expected = records.app_config([site["model"], site["base"]], url)
    assert use(empty, "return m.readRecords();") == expected
