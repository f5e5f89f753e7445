"""A loopback server that fails on request, and a browser whose profile outlives it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from webslm.bundle.http_rules import HEADERS, TYPES, byte_range
from webslm.proof import browser
from webslm.proof.browser import Session
from webslm.proof.graphics.choice import choose
from webslm.schema import Graphics

BLOCK = 64 << 10


class Faulty:
    """What the server does wrong; changed by tests while it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ranges = True
        self.headers: dict[str, str] = dict(HEADERS)
        self.budget: int | None = None
        """Bytes of bodies until every connection is cut and none answered; null: no limit."""
        self.only = ""
        """The budget counts only for paths that hold this."""
        self.corrupt: dict[str, bytes] = {}
        """Bodies given instead of a file's own, by the end of its path."""
        self.answers: dict[str, list[int]] = {}
        """Status codes given instead of a file, by a part of its path: one for each request."""
        self.cuts: dict[str, list[int]] = {}
        """Bytes after which a connection is cut, by a part of the path: one for each request."""
        self.block_s = 0.0
        """Pause after each block, for downloads that a test wants to look at."""
        self.requests: list[tuple[str, str | None]] = []
        """Path and Range header of every request."""
        self.sent = 0
        self.lock = threading.Lock()

    def asked(self, part: str) -> list[str | None]:
        """Return the Range headers of the requests whose path holds ``part``."""
        return [header for path, header in self.requests if part in path]

    def spend(self, path: str, count: int) -> int:
        """Return how many of ``count`` bytes may still be sent."""
        with self.lock:
            if self.budget is not None and self.only in path:
                count = min(count, self.budget)
                self.budget -= count
            self.sent += count
            return count


def _next(rules: dict[str, list[int]], name: str) -> int | None:
    return next((todo.pop(0) for part, todo in rules.items() if part in name and todo), None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    cut: int | None = None

    def do_GET(self) -> None:
        faults = self.server.faults
        name = self.path.split("?")[0].lstrip("/") or "index.html"
        faults.requests.append((name, self.headers.get("Range")))
        if faults.budget == 0 and faults.only in name:
            self._hang_up()
            return
        status = _next(faults.answers, name)
        self.cut = _next(faults.cuts, name)
        path = faults.folder / name
        if status is not None or not path.is_file():
            self._reply(status or 404, b"no\n", ".txt", {})
            return
        body = next((b for end, b in faults.corrupt.items() if name.endswith(end)), None)
        body = path.read_bytes() if body is None else body
        wanted = self.headers.get("Range") if faults.ranges else None
        if wanted is None:
            self._reply(200, body, path.suffix, {"Accept-Ranges": "bytes"} if faults.ranges else {})
            return
        span = byte_range(wanted, len(body))
        if span is None:
            self._reply(416, b"", ".txt", {"Content-Range": f"bytes */{len(body)}"})
            return
        where = {"Content-Range": f"bytes {span[0]}-{span[1]}/{len(body)}"}
        self._reply(206, body[span[0] : span[1] + 1], path.suffix, where)

    def _reply(self, status: int, body: bytes, suffix: str, extra: dict[str, str]) -> None:
        self.send_response(status)
        kind = TYPES.get(suffix, "application/octet-stream")
        headers = {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in {**self.server.faults.headers, **headers, **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(body), BLOCK):
            block = body[start : start + BLOCK]
            allowed = self.server.faults.spend(self.path, len(block))
            if self.cut is not None:
                allowed = min(allowed, max(0, self.cut - start))
            try:
                self.wfile.write(block[:allowed])
            except ConnectionError:
                self.close_connection = True
                return
            if allowed < len(block):
                self._hang_up()
                return
            time.sleep(self.server.faults.block_s)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, faults: Faulty, port: int) -> None:
        self.faults = faults
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def faulty_server(folder: Path, port: int = 0) -> Iterator[tuple[str, Faulty]]:
    """Serve a folder until the block ends; then nothing listens any more."""
    faults = Faulty(folder)
    with _Server(faults, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", faults
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def profile(folder: Path, *, timeout_s: float) -> Iterator[Session]:
    """Start a browser whose storage lies in ``folder`` and is there again the next time."""
    from playwright.sync_api import sync_playwright

    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    chosen = choose(Graphics.auto)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(folder),
            executable_path=browser.find(None),
            args=[*browser.QUIET_FLAGS, *chosen.flags],
            env=dict(chosen.environment),
            chromium_sandbox=not is_root,
            locale="en-GB",
            reduced_motion="reduce",
        )
        try:
            version = context.browser.version if context.browser else ""
            yield Session(version=version, chosen=chosen, context=context, timeout_s=timeout_s)
        finally:
            context.close()
