"""Own the static server of a bundle: types, ranges, headers, paths. Know nothing of models.

The headers are what a good host would send: a policy that keeps the page on its own origin,
exact types, and isolation. ``site/index.html`` repeats the policy for hosts that send none.
"""

from __future__ import annotations

import errno
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.bundle.http_rules import HEADERS, TYPES, byte_range, cache_control, packed

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Site:
    """Which folder answers which URL prefix."""

    folder: Path
    prefix: str = "/"
    """Where the folder hangs; starts and ends with a slash."""
    extra: Mapping[str, Path] = field(default_factory=dict)
    """More folders by prefix, looked at first."""

    def find(self, url: str) -> Path | None:
        """Return the file behind a request target; None when there is none to give."""
        path = unquote(urlsplit(url).path)
        for prefix, root in (*self.extra.items(), (self.prefix, self.folder)):
            if path.startswith(prefix):
                return _inside(root, path.removeprefix(prefix))
        return None


def _inside(root: Path, relative: str) -> Path | None:
    parts = (relative or "index.html").split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        return None
    root = root.resolve()
    path = root.joinpath(*parts)
    # Equality refuses every link on the way, also one that stays inside.
    return path if path.is_file() and path.resolve() == path else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "webslm"
    sys_version = ""
    server: _Server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        path = self.server.site.find(self.path)
        if path is None:
            self._plain(HTTPStatus.NOT_FOUND, body=body)
            return
        kind = TYPES.get(path.suffix.lower(), "application/octet-stream")
        extra = {"Cache-Control": cache_control(self.path)}
        wanted = self.headers.get("Range")
        if wanted is not None:
            self._part(path, wanted, kind, extra, body=body)
        elif (small := packed(path, self.headers.get("Accept-Encoding", ""))) is not None:
            extra |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            self._head(HTTPStatus.OK, kind, len(small), extra)
            if body:
                self._write(small)
        else:
            size = path.stat().st_size
            self._head(HTTPStatus.OK, kind, size, {"Accept-Ranges": "bytes", **extra})
            if body:
                self._send(path, 0, size)

    def _part(
        self, path: Path, wanted: str, kind: str, extra: Mapping[str, str], *, body: bool
    ) -> None:
        size = path.stat().st_size
        span = byte_range(wanted, size)
        if span is None:
            self._plain(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                body=body,
                extra={"Content-Range": f"bytes */{size}"},
            )
            return
        first, last = span
        found = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {first}-{last}/{size}"}
        self._head(HTTPStatus.PARTIAL_CONTENT, kind, last - first + 1, {**extra, **found})
        if body:
            self._send(path, first, last - first + 1)

    def _plain(
        self, status: HTTPStatus, *, body: bool, extra: Mapping[str, str] | None = None
    ) -> None:
        text = f"{status.value} {status.phrase}\n".encode()
        self._head(status, TYPES[".txt"], len(text), extra or {})
        if body:
            self.wfile.write(text)

    def _head(self, status: HTTPStatus, kind: str, length: int, extra: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in {**HEADERS, **extra}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, path: Path, start: int, length: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while length > 0 and (block := file.read(min(CHUNK_BYTES, length))):
                if not self._write(block):
                    return
                length -= len(block)

    def _write(self, block: bytes) -> bool:
        try:
            self.wfile.write(block)
        except ConnectionError:
            # The browser went away; nobody is left to tell.
            self.close_connection = True
            return False
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Stay silent: the browser's own tools show requests."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], site: Site) -> None:
        self.site = site
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def serve(folder: Path, host: str, port: int, *, ready: Callable[[str], None]) -> None:
    """Serve a bundle until interrupted; ``ready`` is called once with the URL.

    Raises:
        ConfigError: The folder is absent or not a bundle.
        EnvironmentMismatch: The address cannot be used.
    """
    check_bundle(folder)
    with _bind(host, port, Site(folder=folder)) as server:
        ready(_url(server, "/"))
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


@contextmanager
def running_server(
    folder: Path, extra: Mapping[str, Path] | None = None, prefix: str = "/"
) -> Iterator[str]:
    """Serve a folder from a thread on a free loopback port; give the URL of ``prefix``.

    Args:
        folder: What to serve.
        extra: More folders, by a URL prefix such as ``/__verify__/``.
        prefix: Where ``folder`` hangs, such as ``/a/b/``.
    """
    with _bind("127.0.0.1", 0, Site(folder=folder, prefix=prefix, extra=extra or {})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield _url(server, prefix)
        finally:
            server.shutdown()
            thread.join()


def check_bundle(folder: Path) -> None:
    """Refuse a folder that cannot be served.

    Raises:
        ConfigError: It is absent, or has no page and manifest.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"serve: no such folder: {str(folder)!r}",
            hint="build first (python -m webslm), then: python -m webslm serve outputs/NAME/bundle",
        )
    missing = [
        n for n in ("index.html", "webslm.json", "manifest.json") if not (folder / n).is_file()
    ]
    if missing:
        inner = folder / "bundle"
        raise ConfigError(
            f"serve: not a bundle: {str(folder)!r} has no {missing[0]}",
            hint=f"python -m webslm serve {shlex.quote(str(inner))}"
            if inner.is_dir()
            else "give the folder outputs/NAME/bundle",
        )


def _bind(host: str, port: int, site: Site) -> _Server:
    try:
        return _Server((host, port), site)
    except (OSError, OverflowError) as exc:
        busy = isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE
        why = "already in use" if busy else str(exc)
        raise EnvironmentMismatch(
            f"serve: cannot listen on {host}:{port}: {why}",
            hint="choose another port: --port 8001, or --port 0 for any free one",
        ) from exc


def _url(server: _Server, prefix: str) -> str:
    host, port = server.server_address[:2]
    shown = host.decode() if isinstance(host, bytes) else host
    return f"http://{shown}:{port}{prefix}"
