"""Whose words a page gets: a chosen domain's, or neutral ones for rows of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import chat_row
from webslm.cli.main import run
from webslm.config.compose import compose
from webslm.config.own_texts import DISCLAIMER, whose_texts
from webslm.schema import Config

NEUTRAL = (
    *("train_path", "held_out_path", "paraphrases_path", "knowledge_path", "closing"),
    "questions",
)
DEFAULT = compose(["domain=medical"])
MEDICAL, BASE = DEFAULT.domain, DEFAULT.base.name


def is_neutral(cfg: Config) -> bool:
    domain = cfg.domain
    nothing = [getattr(domain, key) for key in NEUTRAL]
    return set(nothing) == {None} and domain.disclaimer == DISCLAIMER


def test_nobody_said_anything_is_the_starter_set() -> None:
    cfg = compose([])
    assert cfg.domain == MEDICAL
    assert (cfg.name, whose_texts(cfg)) == (f"medical-{BASE}-q4f32_1", None)


@pytest.mark.parametrize(
    ("words", "name", "title"),
    [
        (["data.path=tea rows.jsonl"], f"tea-rows-{BASE}-q4f32_1", "Tea rows"),
        (["data.path=my.jsonl", "name=my-assistant"], "my-assistant", "My assistant"),
        (["data.path=café.csv", "quant=q0f32"], f"cafe-{BASE}-q0f32", "Café"),
        (["data.path=rows/茶.jsonl"], f"own-{BASE}-q4f32_1", "茶"),
        (["data.path=some/folder/"], f"folder-{BASE}-q4f32_1", "Folder"),
        (["data.hub.id=someone/tea_rows"], f"tea_rows-{BASE}-q4f32_1", "Tea rows"),
    ],
)
def test_own_rows_get_neutral_words(words: list[str], name: str, title: str) -> None:
    cfg = compose(words)
    assert is_neutral(cfg)
    assert (cfg.name, cfg.output_dir, cfg.app.title) == (name, f"outputs/{name}", title)
    assert cfg.data.closing is None
    line = whose_texts(cfg)
    assert line is not None
    assert f"neutral, as the rows are your own: title {title!r}, questions from the rows" in line


def test_what_is_said_of_the_domain_wins() -> None:
    words = ["data.path=my.jsonl", "domain.title=Tea, hot", "domain.questions=[Why?]"]
    cfg = compose([*words, "domain.closing=tea[^.]*\\.$", "name=tea"])
    assert (cfg.app.title, cfg.domain.questions) == ("Tea, hot", ["Why?"])
    assert cfg.data.closing == "tea[^.]*\\.$"
    assert cfg.domain.disclaimer == DISCLAIMER


@pytest.mark.parametrize("choice", ["domain=medical", "recipe=medical_tiny"])
def test_a_chosen_domain_keeps_its_words_and_says_so(choice: str) -> None:
    cfg = compose([choice, "data.path=my.jsonl"])
    assert cfg.domain == MEDICAL
    assert "are those of domain=medical, as chosen" in str(whose_texts(cfg))


def test_the_plan_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))
    rows = "\n".join(json.dumps(chat_row(f"Q{number}?", f"A{number}.")) for number in range(20))
    (tmp_path / "tea.jsonl").write_text(rows, encoding="utf-8")
    assert run(["data.path=tea.jsonl", "app=full", "dry_run=true"]) == 0
    assert "page texts: neutral, as the rows are your own: title 'Tea'" in capsys.readouterr().out
    (tmp_path / "more.jsonl").write_text(rows.replace("Q", "R"), encoding="utf-8")
    assert run(["-m", "data.path=tea.jsonl,more.jsonl", "dry_run=true"]) == 0
    jobs = capsys.readouterr().out
    assert f"tea-{BASE}-q4f32_1 " in jobs
    assert f"more-{BASE}-q4f32_1 " in jobs
