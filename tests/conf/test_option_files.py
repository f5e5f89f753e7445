"""Recipes as people's editors save them: marks, encodings, line ends; and what is no YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from webslm.cli.main import run
from webslm.cli.project.init import write_project
from webslm.config.options_source import values

RECIPE = """# @package _global_
defaults:
  - override /domain: shop
name: "Tee-Stube"
data:
  system: "Zürich: grüezi"
"""
ENCODED = {
    "plain": RECIPE.encode(),
    "marked UTF-8": RECIPE.encode("utf-8-sig"),
    "UTF-16, little": b"\xff\xfe" + RECIPE.encode("utf-16-le"),
    "UTF-16, big": b"\xfe\xff" + RECIPE.encode("utf-16-be"),
    "Windows line ends": RECIPE.replace("\n", "\r\n").encode("utf-8-sig"),
    "old line ends": RECIPE.replace("\n", "\r").encode(),
    "no line end": RECIPE.rstrip().encode(),
}
WRONG = {
    "colon in a text": ("name: shop\ndata:\n  system: Tea: hot\n", 3, "quote a text that"),
    "tab": ("name: shop\ndata:\n\tsystem: x\n", 3, "spaces, YAML takes no tabs"),
    "twice": ("name: shop\nseed: 1\nname: other\n", 3, "a key stands once"),
    "open list": ("name: shop\nforce: [data\nseed: 1\n", 3, "a bracket or brace is left open"),
    "open quote": ('name: "shop\nseed: 1\n', 3, "a quote is left open"),
    "columns": ("name: shop\n  seed: 1\n", 2, "quote a text that holds one"),
    "no space": ("name:shop\nseed: 1\n", 2, "a key ends with a colon and a space"),
    "two documents": ("name: shop\n---\nseed: 1\n", 2, "one document a file"),
    "backslashes": ('data:\n  path: "C:\\Users"\n', 2, "a text in single quotes"),
    "tag": ("name: !secret x\n", 1, "quote a text that begins with !"),
    "at sign": ("name: @shop\n", 1, "quote a text that begins with @"),
    "backtick": ("name: `shop`\n", 1, "quote a text that begins with @"),
    "percent": ("data: {system: %s}\n", 1, "quote a text that begins with @"),
    "alias": ("name: *shop\n", 1, "quote texts"),
    "no colon": ("name: shop\nseed\nforce: []\n", 3, "a key ends with a colon"),
    "bell": ("name: 'shop\x07'\n", None, "plain UTF-8 text"),
}

Project = Callable[[bytes], tuple[int, str, str]]


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Project:
    """Return (exit code, output, errors) of showing a project whose recipe is given as bytes."""
    write_project(tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))

    def show(recipe: bytes) -> tuple[int, str, str]:
        Path("recipes/shop.yaml").write_bytes(recipe)
        capfd.readouterr()
        code = run(["recipe=shop", "dry_run=true", "until=data"])
        return code, *capfd.readouterr()

    return show


@pytest.mark.parametrize("name", ENCODED)
def test_a_recipe_is_read_as_it_was_saved(name: str, project: Project) -> None:
    code, out, errors = project(ENCODED[name])
    assert (code, errors) == (0, "")
    assert "data" in out


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_yaml_is_named_with_its_line(name: str, project: Project) -> None:
    text, line, hint = WRONG[name]
    code, _, errors = project(f"# @package _global_\n{text}".encode())
    assert code == 2, errors
    assert "Traceback" not in errors
    place = "shop.yaml" if line is None else f"shop.yaml:{line + 1}: not YAML: "
    assert place in errors.splitlines()[0]
    assert hint in errors


def test_a_recipe_in_an_older_encoding_is_named(project: Project) -> None:
    code, _, errors = project(RECIPE.encode("latin-1"))
    assert code == 2
    assert "shop.yaml:6: not UTF-8 text" in errors
    assert "save it as UTF-8" in errors


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- name: x\n", "shop.yaml: holds no keys"),
        ("nme: x\n", "recipe/shop: unknown key 'nme'"),
        ("lora:\n  rank: 8\n", "recipe/shop: unknown key 'lora.rank'"),
        ("defaults:\n  - override /domian: legal\n", "recipe/shop: unknown key 'domian'"),
        ("defaults:\n  - /recipe: shop\n", "nested too deeply, or refers to itself"),
        ("name: ${nope}\n", "name: Interpolation key 'nope' not found"),
    ],
)
def test_a_mistake_in_a_recipe_names_it(text: str, told: str, project: Project) -> None:
    code, _, errors = project(f"# @package _global_\n{text}".encode())
    assert code == 2, errors
    assert told in errors.splitlines()[0]
    assert "Traceback" not in errors


def test_a_text_in_a_file_is_its_letters() -> None:
    text = (
        "name: no\ndata:\n  path: 1e3\n  closing: ~\n  hub: {revision: 79e6032}\n"
        "  columns: {question: 007}\nlora:\n  r: 8\nseed: 1\ndry_run: yes\n"
    )
    assert values(text, Path("shop.yaml"), "") == {
        "name": "no",
        "data": {
            "path": "1e3",
            "closing": None,
            "hub": {"revision": "79e6032"},
            "columns": {"question": "007"},
        },
        "lora": {"r": 8},
        "seed": 1,
        "dry_run": True,
    }
    assert values("name: on\ntitle: 1.10\n", Path("x.yaml"), "domain") == {
        "name": "on",
        "title": "1.10",
    }
    assert values("# nothing\n", Path("x.yaml"), "") == {}
