"""Recipes as people's editors save them: marks, encodings, line ends; and what is no YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from webslm.cli import run
from webslm.project.init import write_project

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
    "colon in a text": ("a: b", "name: shop\ndata:\n  system: Tea: hot\n", 3, "quote a text that"),
    "tab": ("a", "name: shop\ndata:\n\tsystem: x\n", 3, "spaces, YAML takes no tabs"),
    "twice": ("a", "name: shop\nseed: 1\nname: other\n", 3, "a key stands once"),
    "open list": ("a", "name: shop\nforce: [data\nseed: 1\n", 3, "a bracket or brace is left open"),
    "open quote": ("a", 'name: "shop\nseed: 1\n', 3, "a quote is left open"),
    "columns": ("a", "name: shop\n  seed: 1\n", 2, "quote a text that holds a colon"),
    "at sign": ("a", "name: @shop\n", 1, "quote a text that begins with @"),
    "backtick": ("a", "name: `shop`\n", 1, "quote a text that begins with @"),
    "percent": ("a", "data: {system: %s}\n", 1, "quote a text that begins with @"),
    "alias": ("a", "name: *shop\n", 1, "quote texts"),
    "no colon": ("a", "name: shop\nseed\nforce: []\n", 3, "a key ends with a colon"),
    "bell": ("a", "name: 'shop\x07'\n", None, "plain UTF-8 text"),
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
        Path("conf/recipe/shop.yaml").write_bytes(recipe)
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
    _, text, line, hint = WRONG[name]
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
