"""What stands once, read from the syntax trees: names of artifacts' files, the tokenizer's call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from webslm.basics import artifact_files, model_files
from webslm.basics.paths import PACKAGE
from webslm.rows import artifact

OWNERS = (artifact_files, model_files, artifact)
APART = {"compiler/wasm/contract.py"}
"""What each web-llm release itself asks for: not our choice, so said release by release."""


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of the package by its path, parsed."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def file_names(module: ModuleType) -> set[str]:
    """Return the names of files that a module owns."""
    return {
        value
        for key, value in vars(module).items()
        if key.isupper() and isinstance(value, str) and Path(value).suffix
    }


def test_names_of_artifacts_files_stand_once() -> None:
    owned = set().union(*map(file_names, OWNERS))
    assert {"train.jsonl", "tensor-cache.json", "golden.json", "config.json"} <= owned
    owners = {Path(str(module.__file__)).relative_to(PACKAGE).as_posix() for module in OWNERS}
    literal = {
        f"{path}:{node.lineno}: {node.value}"
        for path, tree in trees()
        if path not in owners | APART
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in owned
    }
    assert not literal


def test_no_file_has_two_names() -> None:
    values = [name for module in OWNERS for name in file_names(module)]
    assert len(values) == len(set(values))


def test_a_text_is_tokenized_in_one_place() -> None:
    """Training and proof ask one function: another call could add, or not add, a start token."""
    callers = {
        path
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            any(word.arg == "add_special_tokens" for word in node.keywords)
            or (isinstance(node.func, ast.Attribute) and node.func.attr == "apply_chat_template")
        )
    }
    # web-llm's own way is what the proof compares with; a GGUF's tokenizer is proved to be one.
    web = {"model/prompts/prompt_tokens.py", "model/gguf/base.py"}
    assert callers == {"model/prompts/rendering.py"} | web


LONGEST = 40
"""Lines of a function, its docstring among them."""
ROOMS = ("bundle", "compiler", "evaluation", "hub", "model", "publish", "rows", "training")
KERNELS = "compiler/kernels/"
"""A kernel is one function: its length is the GPU program's own."""


def test_functions_can_be_read_at_a_glance() -> None:
    long = {
        f"{path}: {node.name} has {length} lines"
        for path, tree in trees()
        if path.split("/")[0] in ROOMS and not path.startswith(KERNELS)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for length in [(node.end_lineno or node.lineno) - node.lineno + 1]
        if length > LONGEST
    }
    assert not long
