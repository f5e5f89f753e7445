"""The notebooks run from the first cell to the last; what one trained, the other does not train."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.integration.conftest import SMALL, read_report
from webslm.basics.paths import PACKAGE

NOTEBOOKS = PACKAGE.parent / "notebooks"
NAMES = ("train", "build")
# Cells with this tag fetch packages and a browser: tests/package installs the wheel.
NOT_RUN = "install"
WORDS = " ".join(["domain=medical", *SMALL, "verify.min_answers=0"])


def notebook(name: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def execute(name: str, folder: Path) -> str:
    """Run a notebook with the embedded base; return what its last cell printed."""
    found = notebook(name)
    found.cells = [cell for cell in found.cells if NOT_RUN not in tags(cell)]
    for cell in found.cells:
        if "parameters" in tags(cell):
            cell.source = re.sub('WORDS = ".*"', f'WORDS = "{WORDS}"', cell.source)
    folder.mkdir(exist_ok=True)
    NotebookClient(found, timeout=1200, resources={"metadata": {"path": str(folder)}}).execute()
    return "".join(output.text for output in found.cells[-1].outputs)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_valid_and_clean(name: str) -> None:
    found = notebook(name)
    nbformat.validate(found)
    code = [cell for cell in found.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert [cell for cell in code if "parameters" in tags(cell)]
    assert "python -m webslm" in code[-1].source
    # A failed `!command` does not stop a notebook; a failed %%bash cell does.
    assert not any(re.search(r"^\s*!", cell.source, re.MULTILINE) for cell in code)


def test_both_notebooks_are_given_the_same_words() -> None:
    given = {
        cell.source.splitlines()[0]
        for name in NAMES
        for cell in notebook(name).cells
        if "parameters" in tags(cell)
    }
    assert len(given) == 1


@pytest.mark.slow
@pytest.mark.browser
def test_training_is_handed_over_to_the_build(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    trained, built = tmp_path / "trained", tmp_path / "built"
    monkeypatch.setenv("WEBSLM_CACHE", str(own_cache))
    told = execute("train", trained)
    assert told == f"python -m webslm cache import trained.tar\npython -m webslm {WORDS}\n"
    built.mkdir()
    (trained / "trained.tar").rename(built / "trained.tar")
    other = tmp_path / "other"
    other.mkdir()
    (other / "tools").symlink_to((own_cache / "tools").resolve())
    monkeypatch.setenv("WEBSLM_CACHE", str(other))
    told = execute("build", built)
    assert told.splitlines()[-1] == "python -m webslm serve bundle"
    report = read_report(built / "outputs" / "site")
    assert report["ok"]
    status = {step["stage"]: step["status"] for step in report["steps"]}
    assert [stage for stage in status if status[stage] == "hit"] == [
        "data",
        "base",
        "inspect",
        "finetune",
        "merge",
    ]
    assert (built / "site.tar.gz").stat().st_size > 1_000_000
