"""Prompts that the page renders itself: the tokenizer's text, torch's tokens, web-llm's cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chain import QUANT, TIMEOUT_S, context
from tests.chat_families import CHATML, FAMILIES, MISTRAL_LAST, NUMBERED, Family
from tests.integration.conftest import MEDICAL, read_report, run_build, stored
from tests.integration.test_chat_families import ROWS, made
from tests.site_inputs import configuration, write_inputs
from webslm.basics.errors import VerificationFailed
from webslm.basics.stage import SilentProgress
from webslm.bundle.serve import running_server
from webslm.evaluation import answering
from webslm.model.architectures import architecture
from webslm.model.prompts.ends import stop_ids
from webslm.proof import browser
from webslm.proof.browser import Session
from webslm.proof.rendering import compare_in
from webslm.rows.artifact import read_rows
from webslm.schema import ChatConfigStageConf, DecodingConf, Prompts, RopeScalingConf, ShapeConf
from webslm.stages import bundle, chat_config
from webslm.stages.convert import dequantized_state
from webslm.stages.verify import wanted_prompts
from webslm.training import loaded as reference

pytestmark = pytest.mark.browser
ANSWERED = 96
"""Longest first answer; it stops by itself before."""
SHORT = 8
"""Tokens of answers that are cut."""
TWO_TURNS = """async ({ first, second, long, short }) => {
    const { Assistant } = await import(new URL("webslm.js", document.URL).href);
    const assistant = await Assistant.open();
    await assistant.load();
    const ask = (turns, max_tokens) => assistant.complete(turns, { temperature: 0, max_tokens });
    const turns = [{ role: "user", content: first }];
    const one = await ask(turns, long);
    turns.push({ role: "assistant", content: one.text }, { role: "user", content: second });
    const two = await ask(turns, short);
    // Streamed: after a stop, web-llm answers a request for a whole text with nothing.
    const stream = async (max_tokens, each = () => {}) => {
        const events = [];
        for await (const event of assistant.chat(turns, { temperature: 0, max_tokens })) {
            events.push(event);
            each(events.length);
        }
        const text = events.map((event) => event.text ?? "").join("");
        return { ...events.at(-1), text, pieces: events.length };
    };
    const stopped = await stream(long, (count) => count === 1 && assistant.interrupt());
    const again = await stream(short);
    assistant.dispose();
    return { one, two, stopped, again };
}"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with browser.session(None, timeout_s=TIMEOUT_S) as found:
        yield found


def compared(session: Session, inputs: dict[str, Path]) -> int:
    """Compare what a site's own page renders, as the verify stage does; return how much it is."""
    wanted = wanted_prompts(inputs)
    with running_server(inputs["bundle"]) as url:
        tab = session.tab()
        tab.open(url)
        try:
            compare_in(tab, wanted, SilentProgress())
        finally:
            tab.close()
    return len(wanted)


def paged(root: Path, family: Family) -> dict[str, Path]:
    """Bundle a site that renders a family's template; its model computes nothing."""
    folder, _, _ = made(root, family, ROWS, Prompts.page)
    inputs = write_inputs(root / "site_inputs") | {"chat_config": root / "out"}
    (root / "bundle").mkdir()
    bundle.run(configuration(), inputs, root / "bundle", context(root))
    return {"bundle": root / "bundle", "normalize": folder, "data": root / "data"}


@pytest.mark.parametrize(
    "family",
    [FAMILIES["llama3"], FAMILIES["gemma"], replace(FAMILIES["mistral"], template=MISTRAL_LAST)],
    ids=["llama3_dated", "gemma_folded", "mistral_newest"],
)
def test_page_renders_what_the_tokenizer_renders(
    session: Session, tmp_path: Path, family: Family
) -> None:
    inputs = paged(tmp_path, family)
    assert compared(session, inputs) > len(ROWS)
    vendored = {path.name for path in inputs["bundle"].glob("app/*/vendor/jinja*")}
    assert vendored == {"jinja.js", "jinja.LICENSE.txt"}


@pytest.mark.parametrize(
    ("added", "message"),
    [
        # Python's Jinja has this filter, the page's has not.
        (
            "{% set n = 'a b' | wordcount %}",
            r"Jinja cannot render the chat template: train.jsonl:1: .*wordcount",
        ),
        (
            "{{ messages | length > 0 }}",
            r"renders another prompt than the tokenizer: train.jsonl:1: 'true.* instead of 'True",
        ),
    ],
    ids=["unknown_filter", "other_text"],
)
def test_what_the_page_renders_otherwise_is_one_sentence(
    session: Session, tmp_path: Path, added: str, message: str
) -> None:
    inputs = paged(tmp_path, replace(CHATML, template=added + NUMBERED))
    with pytest.raises(VerificationFailed, match=message) as caught:
        compared(session, inputs)
    assert "app.template=block" in str(caught.value.hint)


def test_site_without_the_option_renders_nothing(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path)
    bundle.run(configuration(), inputs, tmp_path / "bundle", context(tmp_path))
    assert not list((tmp_path / "bundle").glob("app/*/vendor/jinja*"))
    assert wanted_prompts({"bundle": tmp_path / "bundle"}) == []


@pytest.fixture(scope="module")
def stages(taught: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small build's artifacts under a template that no block can say."""
    return numbered(taught, tmp_path_factory.mktemp("numbered"))


def numbered(build: Path, root: Path) -> dict[str, Path]:
    """Take a build's artifacts through the last stages again, with questions that are counted."""
    found = stored(build)
    shutil.copytree(found["normalize"], root / "normalize")
    path = root / "normalize" / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "chat_template": NUMBERED}), encoding="utf-8")
    found["normalize"] = root / "normalize"
    lock = json.loads((build / "webslm.lock.json").read_text(encoding="utf-8"))
    conf = ChatConfigStageConf(
        shape=shape_of(lock),
        quant_name="q4f32_1",
        context_window_size=512,
        prefill_chunk_size=128,
        decoding=DecodingConf(),
        template=Prompts.page,
    )
    for name in ("chat_config", "bundle"):
        (root / name).mkdir()
    ctx = context(root)
    chat_config.run(conf, found, root / "chat_config", ctx)
    found["chat_config"] = root / "chat_config"
    bundle.run(configuration(), found, root / "bundle", ctx)
    return found | {"bundle": root / "bundle"}


def shape_of(lock: dict[str, Any]) -> ShapeConf:
    """Return the base's shape as a lock holds it."""
    shape = dict(lock["config"]["base"]["shape"])
    return ShapeConf(**{**shape, "rope_scaling": RopeScalingConf(**shape["rope_scaling"])})


def shortest(data: Path) -> list[dict[str, str]]:
    """Return what precedes the shortest first answer of the training rows."""
    found = [row.messages for row in read_rows(data / "train.jsonl")]
    turns = next(i for i, message in enumerate(found[0]) if message["role"] == "assistant")
    best = min(found, key=lambda messages: len(messages[turns]["content"]))
    return [dict(message) for message in best[:turns]]


def test_chat_over_turns_says_torchs_tokens(
    stages: dict[str, Path], taught: Path, session: Session
) -> None:
    lock = json.loads((taught / "webslm.lock.json").read_text(encoding="utf-8"))
    parameters = architecture("qwen2").parameters(shape_of(lock))
    model = reference.load_model(
        stages["merge"], dequantized_state(stages["convert"], parameters, QUANT)
    )
    tokenizer = reference.load_tokenizer(stages["normalize"])
    stops = stop_ids(stages["normalize"], tokenizer)
    opening = shortest(stages["data"])
    words = {"first": opening[-1]["content"], "second": "  And in babies? \n"}
    with running_server(stages["bundle"]) as url:
        tab = session.tab()
        tab.open(url)
        seen = tab.call(TWO_TURNS, {**words, "long": ANSWERED, "short": SHORT}, "two turns")
        tab.close()
    turns = [
        *opening,
        {"role": "assistant", "content": seen["one"]["text"]},
        {"role": "user", "content": words["second"]},
    ]
    prompts = [reference.prompt_ids(tokenizer, turns[:end]) for end in (2, 4)]
    assert tokenizer.decode(prompts[1]).endswith(
        "user\nQuestion 2: And in babies?<|im_end|>\n<|im_start|>assistant\n"
    )
    one = answering.greedy(model, prompts[0], ANSWERED, stops)
    two = answering.greedy(model, prompts[1], SHORT, stops)
    assert one.stopped
    assert (seen["one"]["finish"], seen["two"]["finish"]) == ("stop", "length")
    assert seen["one"]["tokens"] == [tokenizer.decode([token]) for token in one.tokens]
    assert seen["two"]["tokens"] == [tokenizer.decode([token]) for token in two.tokens]
    assert seen["again"]["text"] == tokenizer.decode(two.tokens)
    # The second turn is added to what web-llm's cache holds; asked again, it is computed afresh.
    counts = [seen[name]["usage"]["prompt_tokens"] for name in ("one", "two", "again")]
    kept = len(prompts[0]) + len(one.tokens) - 1
    assert counts == [len(prompts[0]), len(prompts[1]) - kept, len(prompts[1])]
    assert seen["stopped"]["finish"] == "abort"
    assert seen["stopped"]["pieces"] < SHORT
    assert tab.observed.console_errors == []
    assert tab.observed.foreign_requests == []


def test_every_prompt_is_rendered_alike(stages: dict[str, Path], session: Session) -> None:
    assert_rendered_alike(stages, session)


def test_every_medical_prompt_is_rendered_alike(
    medical: Path, session: Session, tmp_path: Path
) -> None:
    assert_rendered_alike(numbered(medical, tmp_path), session)


def assert_rendered_alike(stages: dict[str, Path], session: Session) -> None:
    rows = (stages["data"] / "train.jsonl").read_text(encoding="utf-8").count("\n")
    assert compared(session, stages) > rows > 0


@pytest.mark.slow
def test_whole_build_passes_its_proof(medical: Path, tmp_path: Path) -> None:
    words = (*MEDICAL, "app.template=page", "name=paged")
    done = run_build(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    seen = read_report(tmp_path / "outputs" / "paged")["verify"]
    before = read_report(medical)["verify"]
    assert seen["rendered_prompts_equal"] > 0
    assert seen["prompt_tokens_equal"] is True
    assert seen["visit"] == before["visit"]
