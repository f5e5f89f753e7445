"""What libraries and the machine raise, as sentences; what webslm raises itself, as a bug."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from webslm.basics.errors import Bug, ConfigError, EnvironmentMismatch, StageFailed, WebslmError
from webslm.basics.faults import PACKAGE, explained, full_disk


def caught(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except BaseException as exc:  # noqa: BLE001  whatever it is, is looked at
        return exc
    raise AssertionError("nothing was raised")


def fail(error: BaseException) -> None:
    raise error


def write_full() -> None:
    with Path("/dev/full").open("w", encoding="ascii") as file:
        file.write("x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_as_one() -> None:
    told = explained(caught(write_full), stage="merge")
    assert isinstance(told, EnvironmentMismatch)
    assert told.message.startswith("merge: ")
    assert "is full" in told.message


def test_a_full_disk_is_named_with_what_was_needed(tmp_path: Path) -> None:
    total, _, free = shutil.disk_usage(tmp_path)
    told, hint = full_disk([tmp_path / "not" / "yet"], needed=total + free)
    assert told.startswith("No space left on device: the disk at /")
    assert " left, " in told
    assert told.endswith("are needed")
    assert "WEBSLM_CACHE" in hint


def test_the_file_that_was_read_is_not_taken_for_the_full_one(tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    source.write_bytes(b"12345")
    error = OSError(errno.ENOSPC, "No space left on device", str(source))
    error.filename2 = str(tmp_path / "copy")
    told = explained(error, stage="base")
    assert "model.safetensors" not in told.message
    assert isinstance(told, EnvironmentMismatch)


@pytest.mark.parametrize(
    "said",
    [
        "I/O error: No space left on device (os error 28)",
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No" })',
        "[Errno 28] No space left on device",
    ],
)
def test_what_other_languages_say_of_a_full_disk_is_understood(said: str) -> None:
    assert "is full" in explained(Exception(said), stage="convert").message


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (
            PermissionError(errno.EACCES, "x", "/a b"),
            EnvironmentMismatch,
            "/a b: Permission denied",
        ),
        (OSError(errno.EROFS, "x", "/ro"), EnvironmentMismatch, "/ro: Read-only file system"),
        (OSError(errno.EMFILE, "x"), EnvironmentMismatch, "Too many open files"),
        (FileNotFoundError(errno.ENOENT, "x", "/no"), ConfigError, "/no: No such file"),
        (MemoryError(), StageFailed, "out of memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            StageFailed,
            "out of memory",
        ),
        (
            KeyError("getpwuid(): uid not found: 12345"),
            EnvironmentMismatch,
            "does not know the user",
        ),
        (RuntimeError("Could not determine home directory."), EnvironmentMismatch, "the user"),
        (StageFailed("as it is"), StageFailed, "as it is"),
    ],
)
def test_the_machine_is_told_in_one_sentence(
    error: BaseException, kind: type[WebslmError], part: str
) -> None:
    told = explained(error)
    assert type(told) is kind
    assert part in told.message
    assert "\n" not in told.message


def test_what_a_library_raises_of_a_file_is_a_sentence(tmp_path: Path) -> None:
    told = explained(caught(lambda: json.loads("{")), stage="golden")
    assert isinstance(told, StageFailed)
    assert told.message.startswith("golden: json says JSONDecodeError: Expecting property name")
    assert told.log_path is not None
    assert "Traceback" in told.log_path.read_text(encoding="utf-8")
    told.log_path.unlink()
    from safetensors import safe_open

    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no tensors")
    error = caught(lambda: safe_open(path, framework="np"))
    assert "says SafetensorError" in explained(error, stage="base").message


def test_what_webslm_raises_itself_is_a_bug() -> None:
    source = compile("{}['missing']", str(PACKAGE / "stages" / "merge.py"), "eval")
    told = explained(caught(lambda: eval(source)), stage="merge")
    assert isinstance(told, Bug)
    assert (told.exit_code, told.message) == (1, "merge: KeyError: 'missing'")
    assert "KeyError: 'missing'" in told.trace
    assert "report it" in str(told.hint)
    assert told.log_path is not None
    told.log_path.unlink()


def test_a_library_error_with_another_inside_is_read_to_its_bottom() -> None:
    def work() -> None:
        try:
            fail(OSError(errno.EROFS, os.strerror(errno.EROFS), "/ro/x"))
        except OSError as exc:
            raise RuntimeError("cannot save") from exc

    assert explained(caught(work)).message == "/ro/x: Read-only file system"


def test_the_traceback_is_kept_without_a_place_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    told = explained(ValueError("x"))
    assert told.log_path is None
    assert sys.exc_info() == (None, None, None)
