"""SIGKILL in the middle of a stage: nothing half-written is ever taken for done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.conftest import SMALL, read_report, run_build
from webslm.basics.keys import tree_digest

WORDS = (*SMALL, "until=compile", "output_dir=out")
STAGES = ("finetune", "convert", "compile")


def kill_in(stage: str, pattern: str, cwd: Path, cache: Path) -> None:
    """Start a build and kill its whole process group as soon as ``stage`` has begun to write.

    Args:
        stage: Where to kill it.
        pattern: What must have appeared below the stage's work folder.
        cwd: Where the build runs.
        cache: The store it writes to.
    """
    env = {**os.environ, "WEBSLM_CACHE": str(cache)}
    folder = cache / "artifacts" / stage
    left = set(folder.glob(".work-*"))
    process = subprocess.Popen(
        [sys.executable, "-m", "webslm", *WORDS],
        cwd=cwd,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None:
        if any(any(work.glob(pattern)) for work in set(folder.glob(".work-*")) - left):
            break
        time.sleep(0.001)
    assert process.poll() is None, f"the build ended before it reached {stage}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_killed_build_ends_whole_and_equal_when_run_again(tmp_path: Path, own_cache: Path) -> None:
    for stage in STAGES:
        kill_in(stage, "files", tmp_path, own_cache)
        stored = list((own_cache / "artifacts" / stage).iterdir())
        assert all(path.name.startswith(".work-") for path in stored)
        # Its first file may be its last, so this stage may just have been stored.
        kill_in(stage, "files/*", tmp_path, own_cache)
        assert not (tmp_path / "out" / "webslm.lock.json").exists()
    done = run_build(*WORDS, cwd=tmp_path, cache=own_cache)
    assert done.returncode == 0, done.stderr
    assert not list(own_cache.glob("artifacts/*/.work-*"))

    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    (undisturbed / "tools").symlink_to(own_cache / "tools")
    (tmp_path / "other").mkdir()
    done = run_build(*WORDS, cwd=tmp_path / "other", cache=undisturbed)
    assert done.returncode == 0, done.stderr
    ours, theirs = read_report(tmp_path / "out"), read_report(tmp_path / "other" / "out")
    for step, other in zip(ours["steps"], theirs["steps"], strict=True):
        assert step["key"] == other["key"]
        name = f"artifacts/{step['stage']}/{step['key'][:16]}/files"
        if step["stage"] in STAGES:
            assert tree_digest([own_cache / name]) == tree_digest([undisturbed / name])


@pytest.mark.slow
def test_random_kills_end_whole_and_equal(tmp_path: Path) -> None:
    words = ("--kills", "6", "--proof-every", "0", "--fresh-every", "6", "--compile-every", "6")
    bench = Path(__file__).parents[2] / "bench" / "kills.py"
    done = subprocess.run(
        [sys.executable, str(bench), *words, "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kills, 0 did not end whole and equal" in done.stdout
