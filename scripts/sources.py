"""Write webslm/engine/sources.json: of each stage, the files whose contents enter its key.

``make generate`` runs it; tests/unit/engine/test_registry.py fails when the file is not what it
writes. What a stage's module imports counts, at any depth and wherever the import stands; so do
modules that it starts by name, and folders of other files that a module reads.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from webslm.basics.paths import PACKAGE
from webslm.engine.table import SOURCES, STAGES

WORDS = {
    *("basics/errors.py", "basics/faults.py", "basics/paths.py", "basics/proc.py"),
    *("basics/screen.py", "basics/stage.py"),
    *("model/architectures/support.py", "compiler/mlc_failures.py", "rows/hints.py"),
}
"""Modules that only word messages or run what others decide: no artifact depends on them."""
FOLDERS = {
    "compiler/wasm/runtime.py": "compiler/wasm/overlay",
    "proof/graphics/stand_in.py": "proof/graphics/native",
    "proof/observe.py": "proof/page",
    "stages/bundle.py": "site",
}
"""What a module reads besides Python: the folder counts wherever the module does."""


def sources() -> dict[str, list[str]]:
    """Return the files and folders of each stage, relative to the package, sorted."""
    return {spec.name: sorted(closure(PACKAGE / "stages" / f"{spec.module}.py")) for spec in STAGES}


def closure(start: Path) -> set[str]:
    """Return what a module's work depends on: itself, what it imports, starts and reads."""
    counted: set[str] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(PACKAGE).as_posix()
        if name in counted or name in WORDS or name.startswith("schema/"):
            continue
        counted.add(name)
        if name in FOLDERS:
            counted.add(FOLDERS[name])
        waiting += modules_of(path)
    return counted


def modules_of(path: Path) -> Iterator[Path]:
    """Yield the package's modules that a module imports or names in a text."""
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            if not all(module_file(name) for name in names):
                names.append(node.module)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"\w+\.py", node.value):
                yield from filter(Path.is_file, [path.with_name(node.value)])
            if re.fullmatch(r"webslm(\.\w+)+", node.value):
                names = [node.value]
        yield from filter(None, map(module_file, names))


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a syntax tree without what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from executed(node)


def module_file(dotted: str) -> Path | None:
    """Return the file of one of the package's modules, and of a package that defines something."""
    if not dotted.startswith("webslm."):
        return None
    path = PACKAGE.parent.joinpath(*dotted.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def main() -> None:
    """Write the file."""
    SOURCES.write_text(json.dumps(sources(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
