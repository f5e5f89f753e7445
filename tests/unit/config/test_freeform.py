"""Which values of the command line are texts as typed, and which are Hydra's."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webslm.basics.errors import ConfigError
from webslm.config.axes import read_sweep
from webslm.config.compose import compose
from webslm.config.freeform import literal, takes, typed

TEXTS = (
    "café.jsonl",
    "my rows.jsonl",
    "a=b.jsonl",
    "[train].jsonl",
    "rows (1).jsonl",
    "{x}.jsonl",
    "it's.jsonl",
    '5" nails.jsonl',
    "50%.jsonl",
    "-rows.jsonl",
    "~rows.jsonl",
    "C:\\rows\\my.jsonl",
    "rows\\",
    "rows\\'",
    "茶.jsonl",
    "#1.jsonl",
    "*.jsonl",
    "1e3",
    "007",
    "true",
    "79e6032",
    "None",
    "You are kind; and brief.",
    "Say: \"yes\" or 'no'; never {both} [ever] = 100 %",
    "(gardener|nursery)[^.]*\\.$",
    " leading and trailing ",
    "two\nlines",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_taken_as_typed(text: str) -> None:
    assert compose_value(typed([f"data.path={text}"])) == text
    assert compose_value(typed([f"data.path={text}"], sweep=True)) == text


def test_texts_reach_the_configuration_as_typed() -> None:
    words = [f"data.columns.c{number}={text}" for number, text in enumerate(TEXTS)]
    cfg = compose([*words, f"data.path={TEXTS[4]}", f"data.system={TEXTS[25]}"])
    assert list(cfg.data.columns.values()) == list(TEXTS)
    assert (cfg.data.path, cfg.data.system) == (TEXTS[4], TEXTS[25])


@given(st.text(st.sampled_from(string.printable + "é茶\u202e\\'\"${}"), min_size=1))
@example("\\'\\\\")
def test_any_text_survives_hydra(text: str) -> None:
    words = typed([f"data.system={literal(text)}"])
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    # OmegaConf has a grammar of its own where a text refers to other keys.
    if text == "null" or quoted or "${" in text:
        return
    assert compose_value(words) == text


def compose_value(words: list[str]) -> str:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return str(OverridesParser.create().parse_override(words[0]).value())


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("data.system='a b'", "a b"),
        ('data.system="it\'s, so"', "it's, so"),
        ("data.system=null", None),
        ("data.system='null'", "null"),
        ("data.system=${domain.name}, brief", "medical, brief"),
        ("data.system=\\${domain.name}", "${domain.name}"),
        ("data.system=", ""),
    ],
)
def test_quotes_null_and_references_mean_what_they_meant(word: str, expected: str | None) -> None:
    assert compose(["domain=medical", word]).data.system == expected


def test_a_list_is_a_sweep_only_with_m() -> None:
    words = ["data.path=a.jsonl,b.jsonl", "data.system=You are kind, and brief."]
    cfg = compose([*words, "data.columns.question=choice(a,b)"])
    assert (cfg.data.path, cfg.data.system) == ("a.jsonl,b.jsonl", "You are kind, and brief.")
    assert cfg.data.columns == {"question": "choice(a,b)"}
    words = ["data.path=a b.jsonl,b.jsonl", "data.system='Kind, and brief.'", "domain=medical"]
    sweep = read_sweep(words)
    paths = [compose(job).data for job in sweep.jobs]
    assert [data.path for data in paths] == ["a b.jsonl", "b.jsonl"]
    assert {data.system for data in paths} == {"Kind, and brief."}


def test_a_text_that_no_sweep_can_be_read_in_is_a_text_with_m_too() -> None:
    sweep = read_sweep(["lora.r=8,16", "data.path=café (1).jsonl", "domain=medical"])
    assert {compose(job).data.path for job in sweep.jobs} == {"café (1).jsonl"}


def test_schema_says_what_a_key_takes() -> None:
    assert takes("data.path") == "text or null"
    assert takes("name") == takes("data.columns.question") == "text"
    assert takes("domain.questions") == takes("data.columns") == "container"
    assert takes("lora.r") == takes("domain") == takes("no.such") == "other"


@pytest.mark.parametrize("name", ["null", "a,b.jsonl", "'q'.jsonl", '"q"', "range(1,3)"])
def test_the_path_of_a_file_that_is_there_is_that_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    assert compose_value(typed([f"data.path={name}"])) == name
    assert compose_value(typed([f"data.path={name}"], sweep=True)) == name
    assert compose_value(typed([f"data.path={tmp_path}/{name}"])) == f"{tmp_path}/{name}"


def test_a_file_may_be_called_like_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "${HOME}.jsonl").touch()
    assert compose(["data.path=${HOME}.jsonl"]).data.path == "${HOME}.jsonl"


def test_bytes_in_another_encoding_are_a_path_or_a_mistake(tmp_path: Path) -> None:
    name = b"caf\xe9.jsonl".decode("utf-8", "surrogateescape")
    assert compose([f"data.path={name}"]).data.path == name
    with pytest.raises(ConfigError, match="not in this terminal's encoding"):
        typed([f"data.system={name}"])
