"""A stage's key covers every module that does its work, and none that only words messages."""

from __future__ import annotations

import ast
import json

import pytest

from scripts.sources import FOLDERS, WORDS, sources
from webslm.basics.paths import PACKAGE
from webslm.engine.table import SOURCES, STAGE_NAMES, STAGES, StageSpec

ELSEWHERE = ("data/", "cli/project/files/", "report/", "engine/", "py.typed")
"""What no artifact is made of: rows enter keys by their contents, the others show or plan."""


def test_listed_sources_are_what_the_stages_import() -> None:
    assert json.loads(SOURCES.read_text(encoding="utf-8")) == sources(), "run `make generate`"


def test_every_stage_has_its_sources() -> None:
    assert set(sources()) == set(STAGE_NAMES)
    for spec in STAGES:
        assert f"stages/{spec.module}.py" in spec.sources


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("finetune", "training/worker.py"),
        ("compile", "engine/machine/child.py"),
        ("compile", "compiler/mlc_probe.py"),
        ("compile", "compiler/wasm/overlay"),
        ("bundle", "site"),
        ("verify", "proof/page"),
        ("verify", "proof/graphics/native"),
    ],
)
def test_what_is_started_or_read_counts(stage: str, module: str) -> None:
    assert module in next(spec.sources for spec in STAGES if spec.name == stage)


@pytest.mark.parametrize("stage", ["compile", "compile_f16", "convert", "normalize"])
def test_a_prompts_wording_leaves_the_library_a_hit(stage: str) -> None:
    spec = next(spec for spec in STAGES if spec.name == stage)
    assert not [name for name in spec.sources if name.startswith(("model/prompts", "rows/"))]


@pytest.mark.parametrize("spec", STAGES, ids=lambda spec: spec.name)
def test_a_messages_wording_retrains_nothing(spec: StageSpec) -> None:
    assert all((PACKAGE / name).is_file() for name in WORDS)
    assert not WORDS & set(spec.sources)


def test_every_file_that_is_not_python_belongs_to_a_stage() -> None:
    for path in PACKAGE.rglob("*"):
        name = path.relative_to(PACKAGE).as_posix()
        if path.suffix == ".py" or not path.is_file() or "__pycache__" in name:
            continue
        if not name.startswith(ELSEWHERE):
            assert name.startswith(tuple(FOLDERS.values())), name


def test_schema_computes_nothing() -> None:
    """Its files are in no key: what they say enters as values."""
    for path in (PACKAGE / "schema").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)], path.name
