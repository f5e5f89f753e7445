"""What a test may leave changed in its process: nothing that another test could notice."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

ON_LOADING = frozenset(
    {
        "PYTEST_CURRENT_TEST",
        # Switches of libraries, set once for good before they are loaded.
        "CUBLAS_WORKSPACE_CONFIG",
        "HF_HUB_DISABLE_PROGRESS_BARS",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_DISABLE_XET",
        "HYDRA_FULL_ERROR",
        "KMP_INIT_AT_FORK",
        "TOKENIZERS_PARALLELISM",
        "TORCHINDUCTOR_CACHE_DIR",
    }
)
OURS = "webslm"
"""The logger, with all below it, that a build directs to its own file."""
Facts = dict[str, object]


def environment() -> Facts:
    """Return the environment that a child would have."""
    return {name: value for name, value in os.environ.items() if name not in ON_LOADING}


def loggers() -> Facts:
    """Return where records of the root and of our loggers go."""
    ours = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == OURS]
    found: Facts = {}
    for name in ("root", *ours):
        logger = logging.getLogger(None if name == "root" else name)
        found[name] = (logger.level, logger.propagate, logger.disabled, tuple(logger.handlers))
    return {name: facts for name, facts in found.items() if facts != UNTOUCHED or name == "root"}


UNTOUCHED = (logging.NOTSET, True, False, ())


def process() -> Facts:
    """Return folder, arguments, search path and what the usual signals do."""
    return {
        "cwd": Path.cwd(),
        "sys.argv": tuple(sys.argv),
        "sys.path": tuple(sys.path),
        **{one.name: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)},
    }


KINDS: dict[str, Callable[[], Facts]] = {
    "environment": environment,
    "logger": loggers,
    "process": process,
}


@contextmanager
def nothing_left() -> Iterator[list[str]]:
    """Yield a list that is filled at the end with what is not as it was, put right again."""
    before = {kind: look() for kind, look in KINDS.items()}
    left: list[str] = []
    yield left
    for kind, look in KINDS.items():
        was, now = before[kind], look()
        names = sorted(name for name in {*was, *now} if was.get(name) != now.get(name))
        left += [f"{kind} {name}: {was.get(name)!r} -> {now.get(name)!r}" for name in names]
        for name in names:
            _restore(kind, name, was.get(name))


def _restore(kind: str, name: str, value: object) -> None:
    if kind == "environment":
        if isinstance(value, str):
            os.environ[name] = value
        else:
            del os.environ[name]
    elif kind == "logger":
        logger = logging.getLogger(None if name == "root" else name)
        level, propagate, disabled, handlers = cast(
            "tuple[int, bool, bool, tuple[logging.Handler, ...]]", value or UNTOUCHED
        )
        logger.setLevel(level)
        logger.propagate, logger.disabled, logger.handlers = propagate, disabled, list(handlers)
    elif isinstance(value, Path):
        os.chdir(value)
    elif name in ("sys.argv", "sys.path"):
        setattr(sys, name.partition(".")[2], list(value))  # type: ignore[call-overload]
    else:
        signal.signal(signal.Signals[name], value)  # type: ignore[arg-type]
