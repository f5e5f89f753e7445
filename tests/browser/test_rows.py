"""Every matrix row's library and web-llm, built by its own tools, run in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import SMALL, read_report, run_build
from webslm.engine.machine.matrix import rows

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OWN = [name for name, row in rows().items() if not row.tools]
"""Rows whose compiler pip brings; others pin tools that no machine here has."""
# An untrained model answers nothing right; that browser and torch agree is what a row must show.
UNTRAINED = ("verify.min_answers=0", "verify.num_prompts=2", "verify.num_tokens=8")


@pytest.mark.parametrize("row", OWN)
def test_row_is_proven_in_the_browser(row: str, tmp_path: Path) -> None:
    done = run_build(*SMALL, *UNTRAINED, f"runtime={row}", "name=row", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    output = tmp_path / "outputs" / "row"
    verify = read_report(output)["verify"]
    assert verify["loaded"] is True
    assert verify["console_errors"] == []
    assert verify["greedy_agreement"]["dequantized"] == 1
    lock = json.loads((output / "webslm.lock.json").read_text(encoding="utf-8"))
    assert lock["matrix"]["web_llm"] == rows()[row].web_llm
    assert lock["matrix"]["wheels"]["apache-tvm"] == rows()[row].wheels["apache-tvm"]


def test_same_versions_in_another_environment_give_the_same_library(tmp_path: Path) -> None:
    """An environment of its own changes where the compiler runs, never what it writes."""
    libraries = []
    for python in ("here", "isolated"):
        words = (*SMALL, f"compiler.python={python}", "until=bundle", f"name={python}")
        done = run_build(*words, "force=[compile]", cwd=tmp_path)
        assert done.returncode == 0, done.stderr + done.stdout
        [library] = (tmp_path / "outputs" / python / "bundle" / "lib").iterdir()
        libraries.append(library.read_bytes())
    assert libraries[0] == libraries[1]
