"""One builder per key, also when the first one dies."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from webslm.engine.store.keylock import only_builder

HOLD = """
import sys, time
from pathlib import Path
from webslm.engine.store.keylock import only_builder
with only_builder(Path(sys.argv[1]), "merge", "a" * 64, lambda: None):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_waits_until_the_holder_dies(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=env, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told: list[str] = []

        def waiting() -> None:
            told.append("waits")
            os.kill(holder.pid, signal.SIGKILL)

        with only_builder(tmp_path, "merge", "a" * 64, waiting):
            told.append("holds")
        assert told == ["waits", "holds"]
        assert holder.wait() == -signal.SIGKILL


def test_other_keys_do_not_wait(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError

    with (
        only_builder(tmp_path, "merge", "a" * 64, never),
        only_builder(tmp_path, "merge", "b" * 64, never),
        only_builder(tmp_path, "convert", "a" * 64, never),
    ):
        pass


def test_file_system_without_locks_lets_both_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_builder(tmp_path, "merge", "a" * 64, lambda: None):
        pass


def test_lock_file_stays_and_is_for_everybody(tmp_path: Path) -> None:
    with only_builder(tmp_path, "merge", "a" * 64, lambda: None):
        pass
    (file,) = (tmp_path / "locks").iterdir()
    mask = os.umask(0o022)
    os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~mask


def test_broken_disk_is_told_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(OSError, match="input/output"),
        only_builder(tmp_path, "merge", "a" * 64, lambda: None),
    ):
        pass
