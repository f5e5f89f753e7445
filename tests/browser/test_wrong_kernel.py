"""One constant changed in a kernel's code: the proof must fail, and pass without the change."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.browser.chain import make_library, make_site, run_verify, verify_conf
from webslm.basics.errors import VerificationFailed
from webslm.compiler.kernels import emitter, gemv, matmul

pytestmark = pytest.mark.browser


def flip(
    monkeypatch: pytest.MonkeyPatch, folder: Path, module: ModuleType, right: str, wrong: str
) -> None:
    """Give the compiler ``module`` with ``right`` replaced, which must stand in it once.

    The changed text becomes a file: TVM reads a kernel's source, not its byte code.
    """
    source = Path(str(module.__file__))
    text = source.read_text(encoding="utf-8")
    assert text.count(right) == 1
    path = folder / source.name
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    name = f"wrong_{source.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    changed = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, changed)
    spec.loader.exec_module(changed)
    monkeypatch.setattr(emitter, source.stem, changed)


def prove(root: Path, folder: Path, library: Path) -> dict[str, Any]:
    """Bundle a library with the chain's other artifacts and run verify on it."""
    site = make_site(root, folder / "site", max_tokens=16, compile=library)
    return run_verify(root, folder / "out", verify_conf(num_prompts=1), bundle=site)


# The medical build passes the same gate with these kernels in every run of the tests.
@pytest.mark.slow
def test_right_kernels_pass_the_gate(root: Path, tmp_path: Path) -> None:
    metrics = prove(root, tmp_path, make_library(tmp_path / "compile"))
    # Four bits change what an untrained model says; the merged one differs for that reason alone.
    assert metrics["first_differences"]["dequantized"] == [None]


@pytest.mark.parametrize(
    ("module", "right", "wrong"),
    [
        pytest.param(
            gemv,
            "centred(word[0], j, form)",
            "(centred(word[0], j, form) - T.float32(1))",
            id="dequantize of a token",
        ),
        pytest.param(
            matmul,
            "centred(word[0], j, form)",
            "(centred(word[0], j, form) - T.float32(1))",
            id="dequantize of a prompt",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_one_wrong_constant_fails_the_proof(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    right: str,
    wrong: str,
) -> None:
    flip(monkeypatch, tmp_path, module, right, wrong)
    library = make_library(tmp_path / "compile")
    refused = r"expected verify\.greedy_agreement of at least"
    with pytest.raises(VerificationFailed, match=refused):
        prove(root, tmp_path, library)
