"""The folder listing is the architecture: who may import whom, read from the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from webslm.paths import PACKAGE
from webslm.registry import STAGE_NAMES

HEAVY = ("torch", "tvm", "transformers", "peft", "trl", "datasets", "numpy", "playwright")
BASE = {"errors", "faults", "fs", "keys", "paths", "proc", "screen", "stage", "schema", ""}
# Module (or package) -> what of webslm it may import besides BASE.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "fs": set(),
    "paths": set(),
    "proc": set(),
    "schema": set(),
    "dataset": set(),
    "encoding": set(),
    "corpus": {"dataset", "encoding"},
    "evaluation": {"corpus", "dataset", "encoding", "proof"},
    "page_facts": {"dataset", "encoding", "proof"},
    "model_entry": {"compiler", "delivery"},
    "records": set(),
    "http_rules": set(),
    "hosting": set(),
    "footprint": {"compiler"},
    "compilers": set(),
    "delivery": {"http_rules"},
    "serve": {"http_rules"},
    "serve_verb": {"serve"},
    "memory": set(),
    "mistakes": {"freeform"},
    "graphics": {"compiler"},
    "proof": {"adapters", "graphics", "serve"},
    "matrix": set(),
    "mlc_tool": {"adapters", "matrix"},
    "pairing": {"compilers", "matrix"},
    "pins": {"matrix"},
    "cache": set(),
    "pairs": {"corpus", "dataset", "encoding"},
    "targets": {"compiler"},
    "training_rules": {"targets", "validate_base"},
    "origin": set(),
    "gguf": {"compiler"},
    "base_source": {"adapters", "cache", "plan"},
    "stage_conf": {"compilers", "hosting", "origin", "targets", "training_rules"},
    "registry": {"stage_conf"},
    "validate_base": {"compiler"},
    "validate": {
        *("compilers", "corpus", "evaluation", "footprint", "hosting", "matrix", "pairing"),
        *("precision", "publish", "registry", "toolchain", "training_rules", "validate_base"),
    },
    "publish": {"publish", "adapters", "compose", "hosting", "lock", "report"},
    "toolchain": {"matrix"},
    "worker": {"matrix"},
    "plan": {"gguf", "registry"},
    "selection": {"plan"},
    "lock": {"origin", "plan", "matrix", "registry"},
    "difference": {"lock", "registry"},
    "recipe": {"compose"},
    "reproduce": {"cache", "preflight", "difference", "executor", "lock", "plan"},
    "doctor": {
        *("adapters", "compilers", "graphics", "matrix", "memory", "mlc_tool", "registry"),
        *("serve", "toolchain"),
    },
    "dataset_doctor": {
        *("adapters", "base_source", "cache", "corpus", "plan", "registry", "reporting"),
        "stages",
    },
    "commands": {
        *(
            "build",
            "cache",
            "compose",
            "dataset_doctor",
            "difference",
            "doctor",
            "lock",
            "matrix",
            "pins",
            "plan",
        ),
        *("recipe", "report", "reproduce"),
    },
    "keylock": set(),
    "executor": {"plan", "cache", "keylock"},
    "explain": {"plan", "cache"},
    "forecast": {"plan", "cache", "explain", "gguf"},
    "report": {"plan", "forecast", "reporting"},
    "reporting": {"corpus", "evaluation", "plan", "reporting"},
    "precision": {"compilers"},
    "local_base": {"compiler", "gguf"},
    "base_template": {"adapters", "gguf", "prompts"},
    "settled_base": {"adapters", "compiler"},
    "freeform": set(),
    "compose": {
        *("base_template", "freeform", "local_base", "mistakes", "options_source", "own_texts"),
        "pins",
    },
    "own_texts": set(),
    "options_source": set(),
    "preflight": {
        *("cache", "compilers", "corpus", "evaluation", "gguf", "local_base", "matrix"),
        *("mlc_tool", "page_facts", "plan", "proof", "registry", "stages", "toolchain"),
        "validate",
    },
    "preview": {
        "base_template",
        "cache",
        "explain",
        "footprint",
        "forecast",
        "lock",
        "plan",
        "report",
        "store",
        "own_texts",
        "training_rules",
    },
    "build": {
        *("base_source", "cache", "executor", "lock", "own_texts", "plan", "precision"),
        *("preflight", "preview"),
        *("publish", "report", "reporting", "selection", "store"),
    },
    "help": {"registry"},
    "project": {"registry"},
    "store": {"store", "base_source", "cache", "compose", "lock", "plan"},
    "sweep": {"sweep", "cache", "memory", "plan", "registry", "reporting"},
    "axes": {"compose", "freeform", "mistakes"},
    "multirun": {
        *("axes", "build", "preflight", "cache", "compose", "executor", "freeform", "plan"),
        "selection",
        "sweep",
    },
    "cli": {
        *("build", "commands", "compose", "freeform", "mistakes", "multirun", "preflight"),
        "project",
        *("help", "publish", "report", "serve_verb", "store"),
    },
    "__main__": {"cli"},
    "prompts": set(),
    "adapters": {
        "adapters",
        "dataset",
        "encoding",
        "evaluation",
        "gguf",
        "graphics",
        "pairs",
        "prompts",
    },
    "compiler": {"compiler", "compilers", "prompts"},
    "stages": {
        "stages",
        "adapters",
        "compiler",
        "compilers",
        "corpus",
        "dataset",
        "evaluation",
        "gguf",
        "model_entry",
        "pairs",
        "serve",
        "matrix",
        "prompts",
        "proof",
        "toolchain",
        "page_facts",
        "records",
        "delivery",
        "hosting",
        "settled_base",
    },
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


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_what_its_layer_may(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    layer = relative.parts[0].removesuffix(".py")
    own = {
        name.split(".")[1] for name in imported(path) if name.startswith("webslm.") and "." in name
    }
    known = {entry.stem for entry in PACKAGE.iterdir()}
    own &= known
    allowed = ALLOWED.get(layer, set()) | BASE | {layer}
    assert own <= allowed, f"{relative} imports {sorted(own - allowed)}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_stages_and_below_never_see_hydra(path: Path) -> None:
    users = (
        *("axes.py", "cli.py", "compose.py", "freeform.py", "mistakes.py", "multirun.py"),
        "options_source.py",
    )
    if path.name in users or path.parent.name == "schema":
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
        "from webslm.cli import run\n"
        f"code = run({words!r})\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded or code else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
