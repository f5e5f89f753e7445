"""What starts on a system without Unix's own modules: help, a lock's check, a server, a plan."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import pytest

# Wheels have parts for each system: those of this one may import what it has.
START = """
import signal, sys
import filelock, os, psutil
MISSING = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in MISSING:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
for owner, names in ((os, ("getuid", "geteuid", "sched_getaffinity", "sysconf")),
                     (signal, ("SIGPIPE", "SIGKILL"))):
    for name in names:
        delattr(owner, name)
from webslm.cli.main import main
main(sys.argv[1:])
"""


def environment(folder: Path) -> Mapping[str, str]:
    kept = {name: text for name, text in os.environ.items() if name not in ("USER", "LOGNAME")}
    path = os.pathsep.join(filter(None, sys.path))
    return {**kept, "PYTHONPATH": path, "WEBSLM_CACHE": str(folder / "cache")}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-c", START, *words)
    return subprocess.run(
        argv, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--help"], "exit codes"),
        (["recipe=medical_tiny", "dry_run=true"], "compile"),
        (["--cfg", "job"], "runtime:"),
    ],
)
def test_it_starts(words: list[str], told: str, tmp_path: Path) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout


def test_lock_is_checked(tmp_path: Path) -> None:
    lock = {"schema": 2, "name": "x", "stages": {}, "outputs": {}}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "webslm.lock.json").write_text(json.dumps(lock))
    done = run(tmp_path, "lock", "check", "out")
    assert (done.returncode, done.stdout) == (0, "0 files are as the lock says\n"), done.stderr


def test_site_is_served(tmp_path: Path) -> None:
    (tmp_path / "webslm.json").write_text(json.dumps({"title": "Example"}))
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "index.html").write_text("<!doctype html>")
    argv = (sys.executable, "-c", START, "serve", str(tmp_path), "--port", "0")
    with subprocess.Popen(
        argv, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            address = next(word for word in line.split() if word.startswith("http"))
            with urlopen(f"{address}index.html", timeout=20) as answer:
                assert answer.read() == b"<!doctype html>"
        finally:
            server.terminate()
