"""A stage's key covers every module that does its work: no stale artifact after an edit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from webslm.paths import PACKAGE
from webslm.registry import STAGES, StageSpec

# Plumbing whose edits cannot change what a stage computes.
PLUMBING = {"errors.py", "fs.py", "paths.py", "proc.py", "stage.py", "keys.py"}


def module_file(dotted: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*dotted.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a syntax tree without what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from executed(node)


def closure(path: Path, seen: set[Path]) -> set[Path]:
    if path in seen or path.parent == PACKAGE / "schema":
        return seen
    if path.name in PLUMBING and path.parent == PACKAGE:
        return seen
    seen.add(path)
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            found = module_file(name) if name.startswith("webslm") else None
            if found is not None:
                closure(found, seen)
    return seen


@pytest.mark.parametrize("spec", STAGES, ids=lambda spec: spec.name)
def test_sources_cover_everything_a_stage_imports(spec: StageSpec) -> None:
    needed = {
        path
        for path in closure(PACKAGE / "stages" / f"{spec.name}.py", set())
        if path.name != "__init__.py"
    }
    covered: set[Path] = set()
    for source in spec.sources:
        path = PACKAGE / source
        assert path.exists(), source
        covered |= {path} if path.is_file() else set(path.rglob("*.py"))
    missing = {str(path.relative_to(PACKAGE)) for path in needed - covered}
    assert not missing
