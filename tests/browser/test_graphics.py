"""lavapipe in the proving browser: its true name, and what happens where it does not work."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser.chain import QUANT, run_verify, verify_conf
from tests.graphics import needs_float16
from tests.vulkan_driver import make_driver
from webslm.basics.errors import GraphicsDied, VerificationFailed
from webslm.basics.paths import cache_dir
from webslm.proof.graphics.stand_in import build_stand_in
from webslm.proof.machine import check_machine
from webslm.schema import Graphics

pytestmark = pytest.mark.browser
Q4F16 = replace(QUANT, name="q4f16_1", dtype="float16", scale_encoding="raw")


@needs_float16
@pytest.mark.parametrize("graphics", [Graphics.auto, Graphics.lavapipe])
def test_lavapipe_runs_float16_and_is_called_by_its_name(graphics: Graphics) -> None:
    seen = check_machine(verify_conf(Q4F16, graphics=graphics))
    assert seen.graphics is Graphics.lavapipe
    digest = build_stand_in(cache_dir() / "tools" / "graphics").sha256[:16]
    assert str(seen.adapter).startswith("lavapipe (Mesa ")
    assert str(seen.adapter).endswith(f"; stand-in {digest})")
    assert {"shader-f16", "subgroups"} <= set(seen.features)


@pytest.mark.parametrize("fault", ["DRIVER_ABORTS", "DRIVER_INDEXING"], ids=["dies", "no device"])
def test_driver_that_does_not_work_is_told_and_swiftshader_computes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    monkeypatch.setenv("VK_DRIVER_FILES", str(make_driver(tmp_path)))
    monkeypatch.setenv(fault, "1")
    with caplog.at_level(logging.WARNING):
        seen = check_machine(verify_conf())
    assert (seen.graphics, seen.adapter) == (Graphics.swiftshader, "google swiftshader")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("lavapipe does not work here, SwiftShader computes: ")
    assert "\n" not in line
    with pytest.raises(VerificationFailed):
        check_machine(verify_conf(graphics=Graphics.lavapipe))


class Killer:
    """A progress that kills the graphics process once, when the page has its model loaded."""

    def __init__(self) -> None:
        self.killed: list[int] = []

    def update(self, done: float, total: float, message: str = "") -> None:
        """Kill at the first question, the first time."""
        if done == 1 and not self.killed:
            self.killed = graphics_processes()
            for pid in self.killed:
                os.kill(pid, signal.SIGKILL)

    def note(self, message: str) -> None:
        """Do nothing."""


def graphics_processes() -> list[int]:
    """Return this test's own browsers' graphics processes that have the stand-in."""
    mine, found = {os.getpid()}, []
    # A child's number is larger than its parent's until the numbers begin again.
    for pid in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if int(status[1]) in mine:
            mine.add(pid)
            if b"--type=gpu-process" in command:
                found.append(pid)
    return found


@needs_float16
@pytest.mark.parametrize(
    "graphics", [pytest.param(Graphics.auto, marks=pytest.mark.slow), Graphics.lavapipe]
)
def test_lavapipe_that_dies_in_the_proof_gives_way_to_swiftshader(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, graphics: Graphics
) -> None:
    killer, out = Killer(), tmp_path / "out"
    cfg = verify_conf(graphics=graphics, num_prompts=1)
    if graphics is Graphics.lavapipe:
        with pytest.raises(GraphicsDied, match="the browser's graphics process died"):
            run_verify(root, out, cfg, progress=killer)
        assert len(killer.killed) == 1
        return
    with caplog.at_level(logging.WARNING):
        metrics = run_verify(root, out, cfg, progress=killer)
    assert len(killer.killed) == 1
    assert metrics["adapter"] == "software GPU: google swiftshader"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("lavapipe died, the proof begins again with SwiftShader: ")
