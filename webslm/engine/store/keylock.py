"""Own one lock file per artifact key, so that of two builds of one key the second waits."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

FOLDER = "locks"
# File systems without locks (some network mounts): both may work, one wins, as without this module.
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
POLL_S = 0.2


@contextmanager
def only_builder(root: Path, stage: str, key: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of one key below the store ``root``.

    The system releases it when the holder dies, however it dies. The file stays: removing it
    would let two processes lock two files of one name.

    Args:
        root: The store.
        stage: The key's stage.
        key: Address of the artifact that is about to be made.
        waiting: Called once when another process holds the lock.

    Raises:
        OSError: The lock file cannot be made or opened.
    """
    path = root / FOLDER / f"{stage}-{key[:16]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file whose mere existence is the lock would outlive a killed holder.
    lock = FileLock(path, poll_interval=POLL_S, fallback_to_soft=False)
    try:
        _acquire(lock, waiting)
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, waiting: Callable[[], None]) -> None:
    try:
        lock.acquire(timeout=0)
        return
    except Timeout:
        waiting()
    except OSError as exc:
        if exc.errno in UNSUPPORTED:
            return
        raise
    lock.acquire()
