"""Own one lock file per artifact key, so that of two builds of one key the second waits."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "locks"
# File systems without locks (some network mounts): both may work, one wins, as without this module.
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


@contextmanager
def only_builder(root: Path, stage: str, key: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of one key below the store ``root``.

    The kernel releases it when the holder dies, however it dies. The file stays: removing it
    would let two processes lock two files of one name.

    Args:
        root: The store.
        stage: The key's stage.
        key: Address of the artifact that is about to be made.
        waiting: Called once when another process holds the lock.
    """
    path = root / FOLDER / f"{stage}-{key[:16]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _acquire(descriptor, waiting)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, waiting: Callable[[], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    except BlockingIOError:
        waiting()
    except OSError as exc:
        if exc.errno in UNSUPPORTED:
            return
        raise
    fcntl.flock(descriptor, fcntl.LOCK_EX)
