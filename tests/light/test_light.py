"""What starts on every system and needs no toolchain: help, plan, lock check, serve.

Only the standard library and pytest, so that it runs beside webslm's light dependencies alone:
``pytest --noconftest tests/light``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

WEBSLM = (sys.executable, "-m", "webslm")


def webslm(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with a store of its own."""
    env = os.environ | {"WEBSLM_CACHE": str(cwd / "store"), "PYTHONUTF8": "1"}
    return subprocess.run(
        [*WEBSLM, *words], cwd=cwd, env=env, capture_output=True, encoding="utf-8", check=False
    )


def test_help(tmp_path: Path) -> None:
    done = webslm("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "medical_tiny" in done.stdout


def test_plan(tmp_path: Path) -> None:
    done = webslm("recipe=medical_tiny", "dry_run=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "14 to run" in done.stdout


def test_lock_check(tmp_path: Path) -> None:
    page = tmp_path / "out" / "bundle" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_bytes(b"<p>A page</p>\n")
    entry = {"size": 14, "sha256": hashlib.sha256(page.read_bytes()).hexdigest()}
    lock = {"schema": 2, "outputs": {"bundle/index.html": entry}}
    (tmp_path / "out" / "webslm.lock.json").write_text(json.dumps(lock), encoding="utf-8")
    done = webslm("lock", "check", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "files are as the lock says" in done.stdout
    page.write_bytes(b"<p>A lie </p>\n")
    assert webslm("lock", "check", "out", cwd=tmp_path).returncode == 6


def test_serve(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>A page</p>\n", encoding="utf-8")
    (tmp_path / "webslm.json").write_text('{"title": "A page"}', encoding="utf-8")
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    words = (*WEBSLM, "serve", str(tmp_path), "--port", "0")
    with subprocess.Popen(words, stdout=subprocess.PIPE, encoding="utf-8") as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
            assert address is not None
            with urllib.request.urlopen(address.group(), timeout=20) as reply:
                assert "A page" in reply.read().decode()
        finally:
            server.terminate()
