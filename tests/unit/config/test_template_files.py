"""Where a chat template is looked for, and what is said where it is not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.errors import ConfigError
from webslm.config import base_template
from webslm.config.compose import compose
from webslm.model.prompts import template_files
from webslm.training.tokenizer import CHAT_TEMPLATE

ADAPTER = {"peft_type": "LORA", "r": 4}


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return folder


def entry(value: Any) -> dict[str, Any]:
    return {"chat_template": value}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"tokenizer_config.json": entry("inline")}, "inline"),
        ({"chat_template.jinja": "apart\n", "tokenizer_config.json": entry("inline")}, "apart\n"),
        ({"tokenizer_config.json": {}, "chat_template.json": entry("older")}, "older"),
        ({"tokenizer_config.json": entry("inline"), "chat_template.json": entry("b")}, "inline"),
        (
            {
                "tokenizer_config.json": entry(
                    [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
                )
            },
            "d",
        ),
        ({"chat_template.json": entry({"default": "d", "tool_use": "t"})}, "d"),
        ({"chat_template.jinja": "\ufeffmarked"}, "marked"),
        ({"chat_template.jinja": "d", "additional_chat_templates/rag.jinja": "r"}, "d"),
    ],
)
def test_template_is_found_where_transformers_finds_it(
    tmp_path: Path, files: dict[str, Any], wanted: str
) -> None:
    assert template_files.read(write(tmp_path, files)) == wanted


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"tokenizer_config.json": {}}, "no chat template in"),
        ({"additional_chat_templates/rag.jinja": "r"}, "additional_chat_templates holds rag.jinja"),
        (
            {"tokenizer_config.json": entry([{"name": "rag", "template": "r"}])},
            "has the chat templates rag and no default one",
        ),
        ({"chat_template.json": "{"}, "chat_template.json: not JSON"),
        ({"tokenizer_config.json": entry(7)}, "holds no chat template under 'chat_template'"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, files: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        template_files.read(write(tmp_path, files))
    assert said in caught.value.message
    assert "base.template_path=FILE" in str(caught.value.hint)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="unreadable chat template"):
        template_files.read(tmp_path)


def test_another_template_in_an_adapters_folder_is_taken_and_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "adapter", {"adapter_config.json": ADAPTER})
    words = ["base=tiny", "finetune=adapter", f"adapter.path={folder}"]
    assert compose(words).base.template_path is None
    own = entry(CHAT_TEMPLATE)
    write(folder, {"tokenizer_config.json": own})
    assert compose(words).base.template_path is None
    write(folder, {"chat_template.jinja": "{{ messages }}"})
    cfg = compose(words)
    assert cfg.base.template_path == str(folder / "chat_template.jinja")
    (line,) = base_template.lines(cfg)
    assert line.endswith("chat_template.jinja, the adapter was trained with it")
    kept = tmp_path / "kept.jinja"
    kept.write_text("{{ messages }}", encoding="utf-8")
    cfg = compose([*words, f"base.template_path={kept}"])
    assert list(base_template.lines(cfg)) == [f"chat template: {kept}"]


def test_options_and_files_are_checked_before_anything_is_planned(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"base\.template_options\.enable_thinking"):
        compose(["base=tiny", "base.template_options.enable_thinking=false"])
    with pytest.raises(ConfigError, match="unreadable chat template"):
        compose(["base=tiny", f"base.template_path={tmp_path / 'none.jinja'}"])
    source = tmp_path / "mine.jinja"
    source.write_text("{{ level }}{{ messages }}", encoding="utf-8")
    words = ["base=tiny", f"base.template_path={source}"]
    cfg = compose([*words, "base.template_options={level: high}"])
    assert cfg.base.template_options == {"level": "high"}
    assert list(base_template.lines(cfg))[1] == "chat template switches: level=high"


def test_qwen3_is_taught_and_asked_without_thoughts() -> None:
    switched = {"enable_thinking": False}
    for words in (["base=qwen3_0_6b"], ["base=qwen3_0_6b", "base.weights=random"]):
        assert compose(words).base.template_options == switched
