"""What bench/kills.py starts and ends: builds in own processes, with a hook that kills them."""

from __future__ import annotations

import collections
import importlib
import json
import os
import pkgutil
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.mkdir", "os.link", "os.remove", "os.rmdir", "os.utime", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
HEAVY = ("torch", "transformers", "tokenizers", "datasets", "accelerate", "peft", "trl", "tvm")
CRASHED = 70


@dataclass(frozen=True)
class Kill:
    """When a build is ended."""

    kind: str
    """before rename, after rename, change or clock."""
    at: float
    """Number of the rename or change, or seconds."""
    group: bool
    """Whether the processes that the build started die as well."""

    def __str__(self) -> str:
        at = f"{self.at:.2f} s" if self.kind == "clock" else f"{self.at:.0f}"
        return f"{self.kind} {at}{', group' if self.group else ''}"


class Hook:
    """Counts what a build changes below a folder and ends the process at one of them."""

    def __init__(self, root: Path, kill: Kill | None) -> None:
        self.root, self.kill = str(root), kill
        self.counts: collections.Counter[str] = collections.Counter()
        self.after = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Count an audit event of Python's that changes a file of ours."""
        if self.after:
            self.end()
        if not self.is_ours(event, args):
            return
        self.counts["change"] += 1
        self.counts["rename"] += event == "os.rename"
        if self.kill is None:
            return
        kind = self.kill.kind
        if kind == "change" and self.counts["change"] == self.kill.at:
            self.end()
        if event == "os.rename" and self.counts["rename"] == self.kill.at:
            self.after = kind == "after rename"
            if kind == "before rename":
                self.end()

    def is_ours(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "open":
            if not isinstance(args[2], int) or not args[2] & WRITES:
                return False
        elif event not in CHANGES:
            return False
        return isinstance(args[0], (str, os.PathLike)) and str(args[0]).startswith(self.root)

    def end(self) -> None:
        # A signal is an audit event as well.
        self.after = False
        if self.kill is not None and self.kill.group:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


class Place:
    """One folder with an own store and an own output."""

    def __init__(self, root: Path, tools: Path, rows: bytes, older: Path | None = None) -> None:
        self.root = root
        self.cache, self.work, self.tmp = root / "cache", root / "work", root / "tmp"
        for folder in (self.cache, self.work, self.tmp):
            folder.mkdir(parents=True)
        (self.cache / "tools").symlink_to(tools, target_is_directory=True)
        (self.work / "rows.jsonl").write_bytes(rows)
        if older is not None:
            shutil.copytree(older, self.work / "out")

    @property
    def out(self) -> Path:
        return self.work / "out"


def preload() -> None:
    """Import what the stages import, and compute nothing: threads do not survive a fork."""
    from webslm import compiler, stages
    from webslm import hub as adapters
    from webslm.cli import build

    assert build
    for name in HEAVY:
        importlib.import_module(name)
    for package in (adapters, compiler, stages):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)


def build(
    place: Place, words: Sequence[str], kill: Kill | None = None, *, fresh: bool = False
) -> int:
    """Build, in a fresh Python or in a fork; return the exit code or minus the signal."""
    return _wait(fork(lambda: _child(place, words, kill, fresh=fresh)), kill)


def fork(work: Callable[[], int]) -> int:
    """Call ``work`` in a child process, which ends with what it returns; return its id."""
    pid = os.fork()
    if not pid:
        code = CRASHED
        try:
            code = work()
        finally:
            os._exit(code)
    return pid


def _child(place: Place, words: Sequence[str], kill: Kill | None, *, fresh: bool) -> int:
    """Be the build's process: leader of its own group, with an own store, output and log."""
    os.setsid()
    os.chdir(place.work)
    os.environ["WEBSLM_CACHE"], os.environ["TMPDIR"] = str(place.cache), str(place.tmp)
    tempfile.tempdir = None
    log = os.open(place.root / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    if fresh:
        told = json.dumps([str(place.root), None if kill is None else vars(kill)])
        os.execv(sys.executable, [sys.executable, __file__, told, *words])
    return _hooked(place.root, words, kill)


def _hooked(root: Path, words: Sequence[str], kill: Kill | None) -> int:
    hook = Hook(root, kill)
    sys.addaudithook(hook)
    from webslm.cli.main import run

    code = run(list(words))
    if kill is None:
        (root / "counts.json").write_text(json.dumps(hook.counts))
    sys.stdout.flush()
    return code


def _wait(pid: int, kill: Kill | None) -> int:
    """Wait for a build and end it when its time comes."""
    deadline = time.monotonic() + kill.at if kill and kill.kind == "clock" else None
    while deadline is not None:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            assert kill is not None
            try:
                (os.killpg if kill.group else os.kill)(pid, signal.SIGKILL)
            except ProcessLookupError:
                # Not yet the leader of a group.
                os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    place, moment = json.loads(sys.argv[1])
    sys.exit(_hooked(Path(place), sys.argv[2:], None if moment is None else Kill(**moment)))
