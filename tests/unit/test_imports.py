"""The folder listing is the architecture: who may import whom, read from the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from webslm.basics.paths import PACKAGE
from webslm.engine.table import STAGE_NAMES

HEAVY = ("torch", "tvm", "transformers", "peft", "trl", "datasets", "numpy", "playwright")
# Room -> which rooms it may import, besides itself: the architecture, from the ground up.
# docs/architecture.md draws it.
ALLOWED: dict[str, set[str]] = {
    "schema": set(),
    "basics": {"schema"},
    "rows": {"basics", "schema"},
    "model": {"basics", "schema"},
    "hub": {"basics", "schema"},
    "compiler": {"basics", "model", "schema"},
    "training": {"basics", "model", "rows", "schema"},
    "evaluation": {"basics", "model", "rows", "schema", "training"},
    "bundle": {"basics", "compiler", "model", "rows", "schema"},
    "engine": {"basics", "bundle", "compiler", "hub", "model", "schema"},
    "proof": {"basics", "bundle", "compiler", "evaluation", "model", "rows", "schema"},
    "report": {"basics", "engine", "evaluation", "rows", "schema"},
    "publish": {"basics", "bundle", "engine", "hub", "model", "report", "schema"},
    "stages": {
        *("basics", "bundle", "compiler", "engine", "evaluation", "hub", "model", "proof"),
        *("rows", "schema", "training"),
    },
    "config": {
        *("basics", "bundle", "compiler", "engine", "evaluation", "model", "proof", "rows"),
        *("schema", "stages", "training"),
    },
    "cli": {
        *("basics", "bundle", "config", "engine", "evaluation", "hub", "model", "proof"),
        *("publish", "report", "rows", "schema", "stages"),
    },
    "__main__": {"cli"},
}


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if "conf" not in path.parts]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {
                f"{node.module}.{alias.name}" for alias in node.names if node.module == "webslm"
            }
    return names


def rooms_of(path: Path) -> set[str]:
    """Return the rooms that a module imports."""
    inside = {name.split(".")[1] for name in imported(path) if name.startswith("webslm.")}
    return inside & set(ALLOWED)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_what_its_room_may(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    room = relative.parts[0].removesuffix(".py")
    if room != "__init__":
        surplus = rooms_of(path) - ALLOWED[room] - {room}
        assert not surplus, f"{relative} imports {sorted(surplus)}"


def test_rooms_are_used_from_above_only() -> None:
    """The table has no circle: each room stands above all that it may import."""
    standing: set[str] = set()
    for room, below in ALLOWED.items():
        assert below <= standing, room
        standing.add(room)


def test_every_arrow_of_the_table_is_drawn() -> None:
    drawn: dict[str, set[str]] = {room: set() for room in ALLOWED}
    for path in modules():
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in drawn:
            drawn[room] |= rooms_of(path) - {room}
    assert drawn == ALLOWED


def test_package_lists_its_rooms_and_no_loose_module() -> None:
    listed = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    other = {"__init__.py", "__main__.py", "py.typed", "data", "site", "conf", "recipes"}
    assert listed - other == set(ALLOWED) - {"__main__"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_stages_and_below_never_see_hydra(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] in ("cli", "config", "schema"):
        return
    assert not {name for name in imported(path) if name.split(".")[0] in ("hydra", "omegaconf")}


def test_only_proc_calls_subprocess() -> None:
    users = {path.name for path in modules() if "subprocess" in imported(path)}
    assert users == {"proc.py"}


def test_every_stage_has_its_module() -> None:
    found = {path.stem for path in (PACKAGE / "stages").glob("*.py")} - {"__init__"}
    assert found == set(STAGE_NAMES)


@pytest.mark.parametrize("words", [["--cfg", "job"], ["--help"], ["dry_run=true"]])
def test_command_line_loads_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from webslm.cli.main import run\n"
        f"code = run({words!r})\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded or code else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
