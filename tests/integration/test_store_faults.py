"""The store under faults: a full disk, missing rights, broken reads, and others at the same key."""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.errors import EnvironmentMismatch, WebslmError
from webslm.basics.keys import text_digest
from webslm.basics.stage import Context, Metrics, SilentProgress
from webslm.engine.executor import BuildFailed, execute
from webslm.engine.look import Stores
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Artifact, Cache
from webslm.schema import MergeStageConf

KEY = text_digest("key")
CALLS = ("rename", "fsync", "open", "mkdir")
FAULTS = (errno.ENOSPC, errno.EIO, errno.EACCES)
CONTENT = b"weights" * 1000


class Display:
    def stage(self, name: str) -> Any:
        import contextlib

        return contextlib.nullcontext(SilentProgress())

    def finished(self, result: object) -> None:
        pass


def write(cfg: object, inputs: object, out: Path, ctx: Context) -> Metrics:
    (out / "deep").mkdir()
    (out / "deep" / "shard.bin").write_bytes(CONTENT)
    (out / "stats.json").write_text("{}")
    return {}


def build(cache: Cache, folder: Path) -> Artifact:
    conf = MergeStageConf(dtype="float32")
    step = Step(stage="merge", key=KEY, conf=conf, needs=(), files={}, wheels={})
    stores = Stores(local=cache)
    execute(stores.look([step]), stores, log_dir=folder / "log", display=Display())
    found = cache.lookup("merge", KEY)
    assert found is not None
    return found


def error_of(cache: Cache, folder: Path) -> WebslmError | None:
    try:
        build(cache, folder)
    except BuildFailed as exc:
        return exc.error
    return None


def check_whole(artifact: Artifact) -> None:
    assert (artifact.path / "deep" / "shard.bin").read_bytes() == CONTENT


class Fault:
    """Lets one call among many fail with an error number, as a bad disk does."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str, at: int, number: int, root: Path):
        self.left = at
        self.number = number
        self.root = str(root)
        self.hit = False
        if name == "open":
            patch.setattr(builtins, "open", self.wrap(builtins.open))
            patch.setattr(io, "open", self.wrap(io.open))
        else:
            patch.setattr(os, name, self.wrap(getattr(os, name)))

    def wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            # A descriptor says nothing of its place; the others count below the store only.
            mine = isinstance(args[0], int) or str(args[0]).startswith(self.root)
            if mine and not self.hit:
                self.left -= 1
                if self.left < 0:
                    self.hit = True
                    raise OSError(self.number, os.strerror(self.number), str(args[0]))
            return real(*args, **keywords)

        return call


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("number", FAULTS, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("name", CALLS)
def test_fault_in_a_build_leaves_a_store_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, at: int
) -> None:
    from webslm.engine import executor

    monkeypatch.setattr(executor, "load_stage", lambda stage: write)
    cache = Cache(tmp_path / "cache")
    with monkeypatch.context() as patch:
        fault = Fault(patch, name, at, number, cache.root)
        error = error_of(cache, tmp_path)
    # No error: a later call than a build makes, or one whose failure costs nothing.
    assert isinstance(error, EnvironmentMismatch) or error is None
    assert error is not None or not fault.hit or cache.lookup("merge", KEY) is not None
    check_whole(build(cache, tmp_path))
    assert not list(cache.artifacts.glob("*/.work-*"))


@pytest.mark.parametrize("size", [0, 1, len(CONTENT) - 1])
def test_truncated_file_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    from webslm.engine import executor

    monkeypatch.setattr(executor, "load_stage", lambda stage: write)
    cache = Cache(tmp_path / "cache")
    shard = build(cache, tmp_path).path / "deep" / "shard.bin"
    os.truncate(shard, size)
    assert cache.lookup("merge", KEY) is None
    check_whole(build(cache, tmp_path))


TWO = """
import sys
from pathlib import Path
from webslm.engine.store.artifacts import Cache
cache, rounds = Cache(Path(sys.argv[1])), int(sys.argv[2])
for number in range(rounds):
    key = f"{number:064x}"[::-1]
    sys.stdin.readline()
    work = cache.work_dir("merge")
    (work / "files").mkdir()
    for name in range(5):
        (work / "files" / f"{name}").write_bytes(bytes(1000 * name))
    made = cache.commit(work, stage="merge", key=key, metrics={}, seconds=0, peak_rss_bytes=0)
    found = cache.lookup("merge", key)
    assert found is not None, number
    assert sorted(p.name for p in found.path.iterdir()) == list("01234"), number
    print("done", flush=True)
"""


def test_two_processes_make_the_same_key_fifty_times(tmp_path: Path) -> None:
    rounds = 50
    words = (sys.executable, "-c", TWO, str(tmp_path / "cache"), str(rounds))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(words, **pipes) as one,  # type: ignore[call-overload]
        subprocess.Popen(words, **pipes) as two,  # type: ignore[call-overload]
    ):
        for _ in range(rounds):
            for process in (one, two):
                process.stdin.write("go\n")
                process.stdin.flush()
            assert [process.stdout.readline() for process in (one, two)] == ["done\n"] * 2
    cache = Cache(tmp_path / "cache")
    assert len(list(cache.stored())) == rounds
    assert not list(cache.artifacts.glob("*/.work-*"))
    assert not cache.damaged.exists()


def test_a_thousand_artifacts_are_listed_from_their_manifests_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webslm.engine.store import admin

    cache = Cache(tmp_path / "cache")
    for number in range(1000):
        folder = cache.artifacts / "merge" / f"{number:016x}"
        (folder / "files").mkdir(parents=True)
        manifest = {
            "schema": 1,
            "stage": "merge",
            "key": f"{number:016x}" + "0" * 48,
            "files": {"a": {"sha256": "0" * 64, "size": 7, "mtime_ns": 0}},
            "metrics": {},
            "seconds": 1.0,
            "peak_rss_bytes": 1,
        }
        (folder / "artifact.json").write_text(json.dumps(manifest))
    opened: list[str] = []
    real = io.open

    def count(file: Any, *args: Any, **keywords: Any) -> Any:
        opened.append(str(file))
        return real(file, *args, **keywords)

    monkeypatch.setattr(io, "open", count)
    found = admin.entries(cache)
    assert len(found) == 1000
    assert len(opened) == 1000
    assert all(name.endswith("artifact.json") for name in opened)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_store_of_another_user_is_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent == Path("/tmp"):
            break
        parent.chmod(0o755)
    script = (
        "import sys, os; from pathlib import Path\n"
        "from webslm.engine.store.artifacts import Cache\n"
        "from webslm.basics.errors import EnvironmentMismatch\n"
        "os.setuid(65534)\n"
        "try: Cache(Path(sys.argv[1])).work_dir('data')\n"
        "except EnvironmentMismatch as exc: print(exc.message, '|', exc.hint)\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", script, str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot be written: Permission denied | set WEBSLM_CACHE" in done.stdout, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_damage_in_a_store_that_may_only_be_read_is_a_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webslm.engine import executor

    for parent in (tmp_path, *tmp_path.parents):
        if parent == Path("/tmp"):
            break
        parent.chmod(0o755)
    monkeypatch.setattr(executor, "load_stage", lambda stage: write)
    cache = Cache(tmp_path / "cache")
    shard = build(cache, tmp_path).path / "deep" / "shard.bin"
    os.truncate(shard, 1)
    script = (
        "import sys, os, logging; from pathlib import Path\n"
        "from webslm.engine.store.artifacts import Cache\n"
        "logging.basicConfig()\n"
        "os.setuid(65534)\n"
        "print(Cache(Path(sys.argv[1])).lookup('merge', sys.argv[2]))\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", script, str(cache.root), KEY),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "None\n", done.stderr
    assert "cannot be moved away: Permission denied" in done.stderr
    assert shard.stat().st_size == 1


def test_full_disk_is_a_sentence_and_room_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webslm.engine import executor

    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)),
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        cache = Cache(disk / "cache")
        filler = disk / "filler"
        filler.write_bytes(bytes(48 << 10))
        monkeypatch.setattr(executor, "load_stage", lambda stage: large)
        with pytest.raises(BuildFailed) as caught:
            build(cache, tmp_path)
        error: WebslmError = caught.value.error
        assert f"the disk at {disk} is full" in error.message
        assert error.exit_code == 3
        filler.unlink()
        build(cache, tmp_path)
    finally:
        subprocess.run(("umount", str(disk)), check=False)


def large(cfg: object, inputs: object, out: Path, ctx: Context) -> Metrics:
    (out / "shard.bin").write_bytes(bytes(24 << 10))
    return {}
