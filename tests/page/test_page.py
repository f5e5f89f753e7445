"""The page's modules: typed strictly, linted, and what needs no browser tested under node."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.page import tools

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def test_modules_without_a_document_do_what_they_say(tmp_path: Path) -> None:
    assert tools.node_tests(tmp_path) == []


def test_every_module_is_typed_strictly() -> None:
    assert tools.types() == []
    listed = tools.tsc(tools.ROOT / "jsconfig.json", "--listFilesOnly")
    own = {str(path) for part in tools.LINTED for path in (tools.ROOT / part).rglob("*.js")}
    assert own <= set(listed)


def test_lint_finds_nothing() -> None:
    assert tools.lint() == []


def test_lint_finds_a_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.js"
    wrong.write_text("export function f(a) {\n  const unused = 1;\n  return a == 1;\n}\n")
    shutil.copyfile(tools.ROOT / "biome.json", tmp_path / "biome.json")
    text = (tmp_path / "biome.json").read_text(encoding="utf-8")
    config = json.loads(text) | {"files": {"includes": ["*.js"]}}
    (tmp_path / "biome.json").write_text(json.dumps(config), encoding="utf-8")
    told = "\n".join(tools.biome("lint", "--config-path", str(tmp_path), str(wrong)))
    assert "noUnusedVariables" in told
    assert "noDoubleEquals" in told


def test_wrong_uses_are_found(tmp_path: Path) -> None:
    """The declarations say something: a page that uses the module wrongly is told."""
    site = tools.ROOT / "webslm" / "site"
    uses = {
        f'import {{ Assistant }} from "{site.as_posix()}/webslm.js";': None,
        "const assistant = await Assistant.open();": None,
        'assistant.chat([{ role: "nobody", content: "x" }]);': '"nobody"',
        'const { txt } = await assistant.complete("x");': "'txt' does not exist",
        "await assistant.load({ share: 1 });": "'share' does not exist",
        'assistant.embed("x");': "'embed' does not exist",
    }
    (tmp_path / "use.js").write_text("\n".join((*uses, "export {};\n")))
    types = tools.prepare_types()
    config = {
        "extends": str(tools.ROOT / "jsconfig.json"),
        "compilerOptions": {"rootDirs": [str(site), str(types)]},
        "include": ["use.js", str(types / "vendor" / "webgpu.d.ts")],
    }
    (tmp_path / "jsconfig.json").write_text(json.dumps(config), encoding="utf-8")
    told = [line for line in tools.tsc(tmp_path / "jsconfig.json") if line[0] != " "]
    wrong = [(number, words) for number, words in enumerate(uses.values(), 1) if words]
    assert len(told) == len(wrong)
    for line, (number, words) in zip(told, wrong, strict=True):
        assert f"use.js({number}," in line
        assert words in line
