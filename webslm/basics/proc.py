"""Own the only call of subprocess; decide nothing."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from webslm.basics.errors import ToolFailed

TAIL_LINES = 20


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    log_path: Path | None = None,
) -> str:
    """Run a command and return its standard output and error together.

    Args:
        argv: Program and arguments; never a shell line.
        cwd: Working directory.
        env: The whole environment of the child; the parent's when None.
        timeout: Seconds after which the child is killed.
        log_path: Where the output is also kept.

    Raises:
        ToolFailed: The program is absent, failed or ran out of time.
    """
    command = shlex.join(str(word) for word in argv)
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env=None if env is None else dict(env),
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as exc:
        raise ToolFailed(f"program not found: {argv[0]}", command=command) from exc
    except subprocess.TimeoutExpired as exc:
        raise ToolFailed(f"no end after {timeout} s: {command}", command=command) from exc
    if log_path is not None:
        log_path.write_text(done.stdout, encoding="utf-8")
    if done.returncode != 0:
        raise _failure(argv, done, log_path)
    return done.stdout


def _failure(
    argv: Sequence[str | Path], done: subprocess.CompletedProcess[str], log_path: Path | None
) -> ToolFailed:
    tail = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
    return ToolFailed(
        f"{Path(str(argv[0])).name} ended with code {done.returncode}: "
        f"{(tail.splitlines() or ['no output'])[-1]}",
        command=shlex.join(str(word) for word in argv),
        returncode=done.returncode,
        tail=tail,
        log_path=log_path,
    )
