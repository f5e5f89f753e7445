"""Own what a good answer over HTTP carries: policy, types, caching, compression, ranges."""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from pathlib import Path

PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'self'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer carries; the service worker repeats them for what it keeps."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
REVALIDATE, FOREVER = "no-cache", "public, max-age=31536000, immutable"
PACKED = {".html", ".css", ".js", ".json", ".txt", ".wasm", ".svg", ".webmanifest"}
"""Suffixes of files that gzip makes smaller; weights are not among them."""
PACKED_MAX_BYTES = 32 << 20
_BY_CONTENT = re.compile(r"/(?:app|resolve)/[0-9a-f]{16}/|/library-[0-9a-f]{16}\.wasm$")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def cache_control(url: str) -> str:
    """Return how long a browser may keep what a URL names: for ever if its content is in it."""
    return FOREVER if _BY_CONTENT.search(url) else REVALIDATE


def packed(path: Path, accepted: str) -> bytes | None:
    """Return a file gzipped; None if the client does not take that or it gets no smaller.

    Args:
        path: The file.
        accepted: The value of ``Accept-Encoding``.
    """
    if path.suffix.lower() not in PACKED or not _takes_gzip(accepted):
        return None
    state = path.stat()
    if state.st_size > PACKED_MAX_BYTES:
        return None
    found = _gzipped(path, state.st_mtime_ns, state.st_size)
    return found if len(found) < state.st_size else None


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte that a Range header asks for; None when it cannot be met.

    Args:
        header: The value of ``Range``.
        size: Length of the file in bytes.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    return (start, end) if start <= end else None


def _takes_gzip(accepted: str) -> bool:
    codings = [part.strip().lower().split(";") for part in accepted.split(",")]
    return any(
        name.strip() == "gzip" and not any(q.strip() in ("q=0", "q=0.0") for q in options)
        for name, *options in codings
    )


@lru_cache(maxsize=64)
def _gzipped(path: Path, _mtime_ns: int, _size: int) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)
