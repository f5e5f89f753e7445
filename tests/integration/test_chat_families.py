"""Templates of Llama-3, Gemma, Mistral and Phi-3 kind: web-llm's tokens are the trained ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests import training
from tests.chat_families import FAMILIES, LLAMA3, MISTRAL_LAST, Family, write_tokenizer
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.paths import data_dir
from webslm.basics.stage import Metrics
from webslm.model.prompts.conversation import pieces
from webslm.model.prompts.prompt_tokens import load
from webslm.schema import (
    BaseStageConf,
    ChatConfigStageConf,
    DecodingConf,
    Loss,
    Prompts,
    ShapeConf,
    Weights,
)
from webslm.stages import base, chat_config
from webslm.training.turns import encode

SYSTEM = "You answer briefly, and never guess."
Messages = list[dict[str, str]]
Made = tuple[Path, dict[str, Any], Metrics]
Make = Callable[..., Made]


def chat(*texts: str, system: str | None = SYSTEM) -> Messages:
    turns = [
        {"role": ("user", "assistant")[index % 2], "content": text}
        for index, text in enumerate(texts)
    ]
    return [*([{"role": "system", "content": system}] if system is not None else []), *turns]


ROWS = [
    chat("What is a deductible?", "What you pay first.\n\n- once a year"),
    chat("东京?", "Yes.", "And after that?", "Then the insurer pays.", "Sure?", "Yes, 100 %."),
    chat("It costs $5 & <b>more</b>", "naïve café, 👩‍⚕️"),
]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write tokenizer and rows of a family and take them through ``chat_config``."""
    return lambda family, rows=ROWS: made(tmp_path, family, rows)


def made(
    root: Path, family: Family, rows: list[Messages], template: Prompts = Prompts.block
) -> Made:
    """Return the tokenizer's folder, edited as the base stage does, and the chat config."""
    folder, data, out = (root / name for name in ("normalize", "data", "out"))
    for path in (folder, data, out):
        path.mkdir()
    knowledge = (data_dir() / "medical" / "train.jsonl").read_text(encoding="utf-8")
    entries = write_tokenizer(folder, family, knowledge.splitlines())
    base.edit_chat_template(training.base_conf(system_fold=family.fold), folder)
    training_rows = "".join(json.dumps({"messages": row}) + "\n" for row in rows)
    (data / "train.jsonl").write_text(training_rows, encoding="utf-8")
    (data / "held_out.jsonl").write_text("", encoding="utf-8")
    first = rows[0][0]
    system = first["content"] if first["role"] == "system" else None
    (data / "stats.json").write_text(json.dumps({"system_prompt": system}))
    shape = ShapeConf(**{**vars(training.SHAPE), "vocab_size": entries})
    conf = ChatConfigStageConf(
        shape=shape,
        quant_name="q4f32_1",
        context_window_size=512,
        prefill_chunk_size=128,
        decoding=DecodingConf(),
        template=template,
    )
    inputs = {"normalize": folder, "data": data}
    metrics = chat_config.run(conf, inputs, out, training.context(root))
    config = json.loads((out / "mlc-chat-config.json").read_text(encoding="utf-8"))
    return folder, config, metrics


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("system", [SYSTEM, None], ids=["system", "no_system"])
def test_every_family_is_proved_and_stops_where_it_should(
    make: Make, name: str, system: str | None
) -> None:
    family = FAMILIES[name]
    rows = [
        chat(*(m["content"] for m in row if m["role"] != "system"), system=system) for row in ROWS
    ]
    folder, config, metrics = make(family, rows)
    tokens = load(folder)
    conv = config["conv_template"]
    assert set(conv["stop_str"]) == set(family.stops)
    assert conv["stop_token_ids"] == sorted(tokens.web.token_to_id(t) or 0 for t in family.stops)
    # A turn that took an empty system message in is trimmed by Gemma's template, not by web-llm.
    if system is not None:
        assert metrics["empty_system_exact"] is (family.fold is None)
    for row in rows:
        prompt = row[:-1]
        found = tokens.web_ids(pieces(conv, prompt))
        assert found == tokens.trained_ids(prompt)
        starts = found.count(tokens.trained.bos_token_id)
        assert starts == (0 if name == "phi3" else 1)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_trained_is_what_the_browser_sends(make: Make, name: str) -> None:
    family = FAMILIES[name]
    folder, config, _ = make(family)
    tokens = load(folder)
    stops = frozenset(config["conv_template"]["stop_token_ids"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for number, row in enumerate(ROWS, 1):
        (learnt,) = encode(tokenizer, row, number=number, stops=stops, loss=Loss.assistant_only)
        answers = [m for m in row if m["role"] == "assistant"]
        sent = tokens.web_ids(pieces(config["conv_template"], row[:-1]))
        assert learnt.input_ids[: len(sent)] == sent
        text = tokenizer.decode([i for i in learnt.labels if i >= 0])
        assert all(answer["content"] in text for answer in answers)


def test_folded_system_message_of_a_request_is_the_trained_fold(make: Make) -> None:
    system = "Else."
    folder, config, _ = make(FAMILIES["gemma"])
    tokens = load(folder)
    for texts in (("Hello",), ("Hello", "Yes?", "And?")):
        messages = chat(*texts, system=system)
        sent = tokens.web_ids(pieces(config["conv_template"], messages))
        assert sent == tokens.trained_ids(messages)
        text = tokens.prompt(messages)
        assert text.startswith("<bos><start_of_turn>user\nElse.\n\nHello<end_of_turn>")


def test_gemma_without_a_fold_says_what_to_set(make: Make) -> None:
    family = replace(FAMILIES["gemma"], fold=None)
    with pytest.raises(StageFailed, match="takes no system message") as caught:
        make(family)
    assert "base.system_fold" in str(caught.value.hint)


def test_training_without_a_fold_says_what_to_set(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, FAMILIES["gemma"], ["some text"] * 9)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="there is no system role") as caught:
        encode(tokenizer, ROWS[0], number=1, stops=frozenset({1}), loss=Loss.full)
    assert "base.system_fold" in str(caught.value.problems[0][1])


def test_system_in_the_newest_turn_cannot_be_said_but_folded(make: Make, tmp_path: Path) -> None:
    family = replace(FAMILIES["mistral"], template=MISTRAL_LAST)
    with pytest.raises(StageFailed, match="out of order") as caught:
        make(family)
    assert "base.system_fold" in str(caught.value.hint)
    (tmp_path / "folded").mkdir()
    made(tmp_path / "folded", replace(family, fold="\n\n"), ROWS)


def test_date_in_a_template_is_the_configured_one(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, FAMILIES["llama3"], ["some text"] * 9)
    conf = training.base_conf(template_date="01 Jan 2025")
    base.edit_chat_template(conf, tmp_path)
    text = load(tmp_path).prompt(chat("Hi"))
    assert "Today: 01 Jan 2025\n\n" in text
    assert text.count("<|begin_of_text|>") == 1


def test_two_start_tokens_are_refused(make: Make) -> None:
    family = replace(FAMILIES["llama3"], template="{{ bos_token }}" + LLAMA3)
    with pytest.raises(StageFailed, match=r"a prompt begins with the start token .* twice"):
        make(family)


def test_base_stage_edits_the_template_it_stores(tmp_path: Path) -> None:
    conf = training.base_conf(system_fold=" | ", weights=Weights.random)
    base.run(BaseStageConf(base=conf, seed=0), {}, tmp_path, training.context(tmp_path))
    messages = chat("Hi", system="It's\n\\odd")
    assert "user\nIt's\n\\odd | Hi<|im_end|>" in load(tmp_path).prompt(messages)
