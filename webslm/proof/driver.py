"""Own Playwright's driver process: a call that it never answers ends, because it is killed.

The driver waits for a browser's pipes to close. A process that outlives its browser, such as the
init of Chromium's sandbox under another user, keeps them open for ever.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from webslm.basics.errors import EnvironmentMismatch

if TYPE_CHECKING:
    from playwright.sync_api import Playwright

STOP_S = 45.0
"""Seconds for the driver's own end; it allows what it started 30."""
HINT = (
    "the browser may have died and left a process behind: run it by hand as the same user, "
    "or name another: verify.browser=/path/to/chrome"
)


class Driver:
    """A running driver process."""

    def __init__(self, playwright: Playwright, pid: int) -> None:
        self.playwright = playwright
        self._pid = pid

    @contextmanager
    def deadline(self, seconds: float, what: str) -> Iterator[None]:
        """Kill the driver when the block is not done in time; every call in it then ends.

        Raises:
            EnvironmentMismatch: It was not done.
        """
        overdue = threading.Event()

        def kill() -> None:
            overdue.set()
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        cause: Exception | None = None
        try:
            yield
        except Exception as exc:
            if not overdue.is_set():
                raise
            cause = exc
        finally:
            timer.cancel()
        # Some calls return as if nothing had happened when the driver is gone.
        if overdue.is_set():
            raise EnvironmentMismatch(f"{what} within {seconds:g} s", hint=HINT) from cause

    @contextmanager
    def ending(self, end: Callable[[], None], seconds: float, what: str) -> Iterator[None]:
        """Call ``end`` after a block, with a deadline; what failed in the block is told first.

        Raises:
            EnvironmentMismatch: The block was well, and the end was not done in time.
        """
        try:
            yield
        except BaseException:
            with suppress(EnvironmentMismatch), self.deadline(seconds, what):
                end()
            raise
        with self.deadline(seconds, what):
            end()


@contextmanager
def running() -> Iterator[Driver]:
    """Start a driver; end it whatever happens."""
    from playwright.sync_api import sync_playwright

    manager = sync_playwright()
    playwright = manager.start()
    # Playwright has no public name for its process; its release is pinned.
    transport = manager._client._transport  # type: ignore[union-attr]
    driver = Driver(playwright, transport._proc.pid)
    try:
        with driver.ending(playwright.stop, STOP_S, "browser: Playwright's driver did not end"):
            yield driver
    finally:
        if transport.on_error_future.done():
            # Read, so that asyncio does not print what the caller is told in one line.
            transport.on_error_future.exception()
