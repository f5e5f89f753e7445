"""Templates that no block can say, rendered by the page: what ``chat_config`` proves of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chat_families import CHATML, FAMILIES, LLAMA3, MISTRAL_LAST, NUMBERED, Family
from tests.integration.test_chat_families import ROWS, SYSTEM, chat, made
from webslm.basics.artifact_files import PAGE_PROMPTS
from webslm.basics.errors import StageFailed
from webslm.model.prompts.conversation import pieces
from webslm.model.prompts.page_prompts import chosen_prompts
from webslm.model.prompts.prompt_tokens import load
from webslm.schema import Prompts

UNSAYABLE = {
    "numbered": CHATML,
    "newest": replace(FAMILIES["mistral"], template=MISTRAL_LAST),
    "twice": replace(CHATML, template=NUMBERED + "{{ messages[0]['content'] }}"),
}
DROPPED = "{% for m in messages if m['role'] == 'user' %}<|im_start|>{{ m['content'] }}{% endfor %}"


@pytest.mark.parametrize("family", UNSAYABLE.values(), ids=UNSAYABLE)
def test_what_no_block_says_is_refused_with_the_way_out_and_then_rendered(
    tmp_path: Path, family: Family
) -> None:
    for name in ("block", "page"):
        (tmp_path / name).mkdir()
    with pytest.raises(StageFailed) as caught:
        made(tmp_path / "block", family, ROWS)
    assert "app.template=page" in str(caught.value.hint)
    folder, config, metrics = made(tmp_path / "page", family, ROWS, Prompts.page)
    tokens, conv = load(folder), config["conv_template"]
    for row in ROWS:
        text = tokens.prompt(row[:-1])
        # One message between empty roles: web-llm's pieces are the prompt and nothing.
        sent = pieces(conv, [{"role": "user", "content": text}])
        assert sent == [text, ""]
        assert tokens.web_ids(sent) == tokens.trained_ids(row[:-1])
    assert set(conv["stop_str"]) == set(family.stops)
    assert metrics["template"] == "page"
    chosen = len(list(chosen_prompts(tokens, SYSTEM)))
    assert metrics["prompts"] == sum(m["role"] == "user" for row in ROWS for m in row) + chosen


def test_newest_turn_is_computed_afresh_where_earlier_ones_change(tmp_path: Path) -> None:
    for name in UNSAYABLE:
        (tmp_path / name).mkdir()
    cached = {
        name: made(tmp_path / name, family, ROWS, Prompts.page)[2]["continued_chat_cached"]
        for name, family in UNSAYABLE.items()
    }
    assert cached == {"numbered": True, "newest": False, "twice": False}


def test_folded_system_and_fixed_date_are_in_what_the_page_renders(tmp_path: Path) -> None:
    for name in ("gemma", "llama3"):
        (tmp_path / name).mkdir()
        folder, _, metrics = made(tmp_path / name, FAMILIES[name], ROWS, Prompts.page)
        facts = json.loads((tmp_path / name / "out" / PAGE_PROMPTS).read_text(encoding="utf-8"))
        assert facts["source"] == load(folder).trained.chat_template
        assert facts["words"]["bos_token"] == FAMILIES[name].bos
        assert set(facts["ends"]) == set(FAMILIES[name].stops)
        # No block says Gemma's fold of an empty system message; the template itself does.
        assert metrics["empty_system_exact"] is True
    assert "{%- macro strftime_now(format) -%}" in facts["source"]


def test_block_writes_nothing_for_the_page(tmp_path: Path) -> None:
    made(tmp_path, FAMILIES["phi3"], ROWS)
    assert not (tmp_path / "out" / PAGE_PROMPTS).exists()


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (
            replace(FAMILIES["llama3"], template="{{ bos_token }}" + LLAMA3),
            "begins with the start token",
        ),
        (replace(CHATML, template=DROPPED), "does not render the answer"),
        (replace(CHATML, template=NUMBERED.replace("<|im_end|>", "")), "no special token"),
        (replace(FAMILIES["gemma"], fold=None), "there is no system role"),
    ],
    ids=["two_starts", "dropped_answer", "no_end", "no_system_role"],
)
def test_what_rendering_cannot_mend_is_refused(
    tmp_path: Path, family: Family, message: str
) -> None:
    with pytest.raises(StageFailed, match=message):
        made(tmp_path, family, [*ROWS, chat("Hello?", "Yes.")], Prompts.page)
