"""Own copies, links, atomic writes and JSON of files and trees; know nothing of stages."""

from __future__ import annotations

import glob
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from webslm.basics.errors import StageFailed


def read_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        StageFailed: It cannot be read, is not JSON, or holds something else.
    """
    try:
        value = json.loads(read_utf8(path))
    except (ValueError, RecursionError) as exc:
        raise StageFailed(f"{path}: not JSON: {exc}", hint="fetch or save it again") from exc
    if not isinstance(value, dict):
        raise StageFailed(f"{path}: not a JSON object", hint="fetch or save it again")
    return value


def read_utf8(path: Path) -> str:
    """Return a text file's content.

    Raises:
        StageFailed: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise StageFailed(f"unreadable {path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise StageFailed(f"{path}: not UTF-8 text", hint="save the file as UTF-8") from exc


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file or leave the old one: temporary name, fsync, rename.

    What killed processes of this host left of earlier writes of it is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path.parent, path.name))
    try:
        # A file's name that is not UTF-8 reaches JSON and pages as an escape.
        with os.fdopen(
            handle, "w", encoding="utf-8", errors="backslashreplace", newline="\n"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; these are for whoever may read the folder.
        Path(name).chmod(0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as exc:
        if isinstance(exc, OSError) and exc.filename is None:
            # A write that fails names no file: a full disk would have no name.
            exc.filename = str(path)
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file where the file system can, else copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copy_tree(source: Path, target: Path) -> None:
    """Copy the files below ``source`` to ``target``; links are followed."""
    for path in tree_files(source):
        destination = target / path.relative_to(source)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)


def tree_files(root: Path) -> Iterator[Path]:
    """Yield the files below ``root`` in the order of their POSIX paths."""
    found = (path for path in root.rglob("*") if path.is_file())
    yield from sorted(found, key=lambda path: path.relative_to(root).as_posix())


def tree_bytes(root: Path) -> int:
    """Return the size of all files below ``root`` in bytes."""
    return sum(path.stat().st_size for path in tree_files(root))


def fresh_dir(parent: Path, purpose: str) -> Path:
    """Return a new folder ``.<purpose>-<host>-<pid>-...`` in ``parent``.

    It lies beside what it will become, so that a rename is atomic; what killed processes of this
    host left under the same purpose is removed first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent, prefix=_prefix(parent, purpose)))


def _prefix(parent: Path, purpose: str) -> str:
    """Return how this process's temporary names begin; clear away those of dead processes."""
    mine = f".{purpose}-{socket.gethostname()}-"
    for left in parent.glob(f"{glob.escape(mine)}*"):
        owner = left.name.removeprefix(mine).partition("-")[0]
        if owner.isdigit() and not is_alive(int(owner)):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    return f"{mine}{os.getpid()}-"


@contextmanager
def temporary_dir(parent: Path, purpose: str) -> Iterator[Path]:
    """Give a ``fresh_dir`` and remove what is left of it."""
    folder = fresh_dir(parent, purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine runs, whoever's it is."""
    if os.name == "nt":
        import psutil

        # There signal 0 is Ctrl-C.
        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sync_tree(root: Path) -> None:
    """Flush every file below ``root`` to the disk, so that a later rename publishes whole files."""
    for path in tree_files(root):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
