"""Own the question whether a browser's graphics process is still the one it began with."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KIND = "GPU"
"""What Chromium's process list calls it."""


class GraphicsProcess:
    """The graphics process of a browser that has just started.

    Chromium starts another when one dies; pages only learn that their device was lost.
    """

    def __init__(self, browser: Browser) -> None:
        from playwright.sync_api import Error

        self._browser = browser
        self._first: set[int] = set()
        # A browser that does not tell has nothing to be compared with.
        with suppress(Error):
            self._first = self._running()

    def died(self) -> bool:
        """Tell whether it is gone; a browser that answers no more went with it."""
        from playwright.sync_api import Error

        try:
            running = self._running()
        except Error:
            return True
        return not self._first <= running

    def _running(self) -> set[int]:
        session = self._browser.new_browser_cdp_session()
        try:
            processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        finally:
            session.detach()
        return {int(one["id"]) for one in processes if one["type"] == KIND}
