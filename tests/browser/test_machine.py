"""A machine whose browser cannot run the library is told so before any work, with exit code 3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser.chain import QUANT, context, verify_conf
from tests.integration.conftest import run_build
from webslm.basics.errors import EnvironmentMismatch
from webslm.proof import browser
from webslm.proof.graphics import choice
from webslm.proof.machine import check_machine
from webslm.schema import Graphics, VerifyStageConf
from webslm.stages import verify

pytestmark = pytest.mark.browser
Q4F16 = replace(QUANT, name="q4f16_1", dtype="float16", scale_encoding="raw")
# SwiftShader has no 16-bit floats, on any machine.
SWIFTSHADER = Graphics.swiftshader


def test_software_adapter_runs_float32() -> None:
    seen = check_machine(verify_conf(graphics=SWIFTSHADER))
    assert seen.adapter == "google swiftshader"


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (
            verify_conf(Q4F16, graphics=SWIFTSHADER),
            r"swiftshader\) lacks shader-f16, which quant=q4f16_1 needs",
        ),
        (verify_conf(browser_min=9999), "is too old, 9999 is the lowest"),
    ],
    ids=["no feature", "old browser"],
)
def test_verify_asks_for_what_it_needs_before_it_reads_anything(
    tmp_path: Path, cfg: VerifyStageConf, message: str
) -> None:
    with pytest.raises(EnvironmentMismatch, match=message):
        verify.run(cfg, {}, tmp_path, context(tmp_path))


def test_browser_without_webgpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "SWIFTSHADER", browser.NO_WEBGPU_FLAGS)
    with pytest.raises(EnvironmentMismatch, match="offers no WebGPU adapter") as caught:
        check_machine(verify_conf(graphics=SWIFTSHADER))
    assert "until=bundle" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("quant=q4f16_1", "verify.graphics=swiftshader"), "lacks shader-f16"),
        (("runtime.browser_min=9999",), "is too old, 9999"),
        (("verify.browser=nothing",), "no browser at 'nothing'"),
    ],
)
def test_build_that_cannot_be_proven_does_not_start(
    tmp_path: Path, own_cache: Path, words: tuple[str, ...], message: str
) -> None:
    done = run_build(*words, cwd=tmp_path, cache=own_cache)
    assert done.returncode == 3, done.stderr
    assert message in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (own_cache / "artifacts").exists()
    assert not (tmp_path / "outputs").exists()


def test_hardware_asked_for_and_absent_is_told(tmp_path: Path, own_cache: Path) -> None:
    if any(Path("/dev").glob("nvidia*")) or any(Path("/dev").glob("dri/render*")):
        pytest.skip("this machine has a GPU")
    done = run_build("verify.graphics=hardware", cwd=tmp_path, cache=own_cache)
    assert done.returncode == 3, done.stderr
    assert "found no GPU, only google swiftshader" in done.stderr


def test_build_without_proof_needs_no_browser(tmp_path: Path, own_cache: Path) -> None:
    words = ("quant=q4f16_1", "until=data", "verify.browser=nothing")
    done = run_build(*words, cwd=tmp_path, cache=own_cache)
    assert done.returncode == 0, done.stderr
