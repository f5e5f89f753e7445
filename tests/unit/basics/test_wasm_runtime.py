"""The runtime's digest, and that its folder appears whole or not at all. zig is a fake here."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from webslm.basics import fs
from webslm.basics.errors import EnvironmentMismatch, StageFailed, ToolFailed
from webslm.compiler.wasm import runtime

Zig = Callable[..., str]


class FakeZig:
    """Writes what zig would write; may fail at one object, or copy libraries twice."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail_at = ""
        self.libraries: list[bytes] = [b"library"]

    def __call__(self, arguments: Sequence[str | Path], *, cwd: Path, cache: Path) -> str:
        output = str(arguments[-1]).removeprefix("-femit-bin=")
        self.calls.append(output)
        if self.fail_at and self.fail_at in output:
            raise ToolFailed("zig ended with code 1")
        (cwd / output).write_bytes(output.encode())
        if output == "probe.wasm":
            for number, content in enumerate(self.libraries):
                for name in runtime.LIBRARIES:
                    folder = cache / "o" / f"{number}{hashlib.sha256(name.encode()).hexdigest()}"
                    folder.mkdir(parents=True)
                    (folder / name).write_bytes(content)
        return ""


@pytest.fixture
def zig(monkeypatch: pytest.MonkeyPatch) -> FakeZig:
    fake = FakeZig()
    monkeypatch.setattr(runtime, "run_zig", fake)
    monkeypatch.setattr("webslm.compiler.wasm.zig.run_zig", fake)
    return fake


def test_runtime_digest_is_stable() -> None:
    assert runtime.runtime_digest() == runtime.runtime_digest()
    assert len(runtime.runtime_digest()) == 64


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COMPILE_FLAGS", (*runtime.COMPILE_FLAGS, "-DX")),
        ("UNITS", {"a.o": "a.cc"}),
        ("DROPPED", ()),
        ("LIBRARIES", ("libc.a",)),
        ("FORMAT", -1),
    ],
)
def test_runtime_digest_changes_with_the_recipe(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    before = runtime.runtime_digest()
    monkeypatch.setattr(runtime, name, value)
    assert runtime.runtime_digest() != before


def test_runtime_digest_changes_with_the_overlay_but_not_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = runtime.runtime_digest()
    shutil.copytree(runtime.OVERLAY, tmp_path / "overlay")
    monkeypatch.setattr(runtime, "OVERLAY", tmp_path / "overlay")
    assert runtime.runtime_digest() == before
    (tmp_path / "overlay" / "webslm" / "single_thread.h").write_text("// other\n")
    assert runtime.runtime_digest() != before


def test_runtime_digest_changes_with_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    before = runtime.runtime_digest()
    monkeypatch.setattr("importlib.metadata.version", lambda wheel: f"{wheel} next")
    assert runtime.runtime_digest() != before


def test_runtime_digest_names_a_missing_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "WHEELS", ("no-such-wheel",))
    with pytest.raises(EnvironmentMismatch, match="'no-such-wheel' is not installed"):
        runtime.runtime_digest()


def test_build_runtime_builds_once(zig: FakeZig, tmp_path: Path) -> None:
    said: list[str] = []
    folder = runtime.build_runtime(tmp_path, jobs=1, on_progress=said.append)
    assert folder == tmp_path / runtime.runtime_digest()[:16]
    names = {path.name for path in folder.iterdir()}
    assert names == {*runtime.UNITS, *runtime.LIBRARIES, runtime.MANIFEST}
    total = len(runtime.UNITS) + 1
    assert len(said) == total
    assert said[-1].startswith(f"wasm runtime {total}/{total}: ")
    calls = len(zig.calls)
    assert runtime.build_runtime(tmp_path) == folder
    assert len(zig.calls) == calls
    assert list(tmp_path.iterdir()) == [folder]


def test_build_runtime_leaves_nothing_when_a_unit_fails(zig: FakeZig, tmp_path: Path) -> None:
    zig.fail_at = "webgpu_runtime.o"
    with pytest.raises(ToolFailed):
        runtime.build_runtime(tmp_path, jobs=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["change", "remove", "manifest"])
def test_build_runtime_builds_again_when_the_folder_is_damaged(
    zig: FakeZig, tmp_path: Path, damage: str
) -> None:
    folder = runtime.build_runtime(tmp_path)
    if damage == "change":
        (folder / "webslm_support.o").write_bytes(b"half")
    elif damage == "remove":
        (folder / "webslm_support.o").unlink()
    else:
        (folder / runtime.MANIFEST).write_text("{")
    said: list[str] = []
    assert runtime.build_runtime(tmp_path, on_progress=said.append) == folder
    assert "damaged" in said[0]
    assert (folder / "webslm_support.o").read_bytes() == b"runtime/webslm_support.o"
    assert list(tmp_path.iterdir()) == [folder]


def test_build_runtime_takes_the_folder_of_a_faster_process(
    zig: FakeZig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = runtime.build_runtime(tmp_path / "other")
    target = tmp_path / "here" / other.name

    def slow(root: Path) -> None:
        shutil.copytree(other, target)

    monkeypatch.setattr(fs, "sync_tree", slow)
    assert runtime.build_runtime(tmp_path / "here") == target


def test_build_runtime_refuses_a_zig_that_builds_other_libraries(
    zig: FakeZig, tmp_path: Path
) -> None:
    zig.libraries = [b"one", b"two"]
    with pytest.raises(StageFailed, match=r"2 different files named 'crt1-reactor\.o'"):
        runtime.build_runtime(tmp_path)


def test_archive_member_names_lose_their_cache_folder(zig: FakeZig, tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 2
    names = f"zig/o/{digest}/a.o/\n".encode()
    body = f"code {digest}/".encode()

    def member(name: str, content: bytes) -> bytes:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{0:<8}{len(content):<10}`\n".encode()
        return header + content + b"\n" * (len(content) % 2)

    archive = b"!<arch>\n" + member("/", b"odd") + member("//", names) + member("/0", body)
    zig.libraries = [archive]
    stored = (runtime.build_runtime(tmp_path) / "libc.a").read_bytes()
    assert stored == archive.replace(names, names.replace(digest.encode(), b"0" * 32))
