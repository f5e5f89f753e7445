"""Own the look at a published address with a browser's eyes: answers, types, ranges, CORS, bytes.

It asks as a page of another origin would (``Origin``), follows redirects, and never sends a token.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from webslm.publish.delivered import MANIFEST

ORIGIN = "https://webslm.invalid"
TIMEOUT_S = 30.0
RETRY_S = 2.0
LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
SCRIPT_TYPES = ("text/javascript", "application/javascript")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a browser would meet."""

    fatal: bool
    """Whether the site or model does not work for it; else it works, slower."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an address answered."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    refused_hops: int = 0
    """Redirects on the way that a page of another origin may not follow."""

    @property
    def kind(self) -> str:
        """Return the media type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def probe_site(url: str, files: Mapping[str, Mapping[str, Any]], wait_s: float) -> list[Finding]:
    """Return what is wrong with a site at ``url``.

    Args:
        url: The page's address.
        files: The site's files by path: ``bytes`` and ``sha256``, as in its manifest.
        wait_s: How long to wait for this build to appear; hosts need a while.
    """
    root = url if url.endswith("/") else f"{url}/"
    found = list(_secure(root))
    stale = _await_build(root, files, wait_s)
    if stale is not None:
        return [*found, Finding(fatal=True, text=stale)]
    for name in _looked_at(files):
        found += _file(urljoin(root, name), name, files[name], cors=False)
    return found


def probe_model(root: str, files: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Return what is wrong with model files at ``root`` for a page that lies elsewhere.

    Args:
        root: Their address with a slash at the end.
        files: The files by name: ``bytes`` and ``sha256``.
    """
    found = list(_secure(root))
    for name in _looked_at(files):
        found += _file(urljoin(root, name), name, files[name], cors=True)
    return found


def _looked_at(files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return one file of each kind, the smallest: the kinds differ in how hosts treat them."""
    smallest: dict[str, str] = {}
    for name in sorted(files, key=lambda name: (files[name]["bytes"], name)):
        smallest.setdefault(name.rpartition(".")[2], name)
    return sorted(smallest.values())


def _secure(root: str) -> Iterator[Finding]:
    parts = urlsplit(root)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        yield Finding(fatal=True, text=f"{root}: WebGPU wants https, browsers hide it here")


def _await_build(root: str, files: Mapping[str, Mapping[str, Any]], wait_s: float) -> str | None:
    """Return why this build is not at ``root``, None when it is."""
    end = time.monotonic() + wait_s
    while True:
        answer = ask(urljoin(root, MANIFEST))
        told = _manifest(answer, root, files)
        if told is None or time.monotonic() >= end:
            return told
        time.sleep(min(RETRY_S, max(0.0, end - time.monotonic())))


def _manifest(
    answer: Answer | str, root: str, files: Mapping[str, Mapping[str, Any]]
) -> str | None:
    if isinstance(answer, str):
        return f"{root}: {answer}"
    if answer.status != 200:
        return f"{root}{MANIFEST}: status {answer.status}; is this the site's own folder?"
    try:
        listed = json.loads(answer.body)["files"]
    except (ValueError, KeyError, TypeError):
        return f"{root}{MANIFEST}: no manifest of webslm; is this the site's own folder?"
    if listed != files:
        return f"{root}: another build lies there; a host may need minutes: publish.wait_s=600"
    return None


def _file(url: str, name: str, entry: Mapping[str, Any], *, cors: bool) -> Iterator[Finding]:
    answer = ask(url)
    if isinstance(answer, str) or answer.status != 200:
        told = answer if isinstance(answer, str) else f"status {answer.status}"
        yield Finding(fatal=True, text=f"{name}: {told}")
        return
    if hashlib.sha256(answer.body).hexdigest() != entry["sha256"]:
        yield Finding(
            fatal=True,
            text=f"{name}: other bytes than were published ({len(answer.body)} of "
            f"{entry['bytes']})",
        )
    if cors and (answer.refused_hops or not is_open(answer.headers)):
        yield Finding(fatal=True, text=f"{name}: no CORS header, pages elsewhere cannot read it")
    yield from _type(name, answer.kind)
    if name.endswith(".bin"):
        yield from _range(url, name, answer.body)


def _type(name: str, kind: str) -> Iterator[Finding]:
    if name.endswith(".js") and kind not in SCRIPT_TYPES:
        yield Finding(fatal=True, text=f"{name}: type {kind!r}, browsers load no module from it")
    if name.endswith(".html") and kind != "text/html":
        yield Finding(fatal=True, text=f"{name}: type {kind!r}, browsers show no page")
    if name.endswith(".wasm") and kind != "application/wasm":
        yield Finding(fatal=False, text=f"{name}: type {kind!r} instead of application/wasm")


def _range(url: str, name: str, whole: bytes) -> Iterator[Finding]:
    answer = ask(url, {"Range": "bytes=1-2"})
    if isinstance(answer, str) or answer.status != 206 or answer.body != whole[1:3]:
        yield Finding(
            fatal=False, text=f"{name}: no ranges, a dropped download begins from the start"
        )


def ask(url: str, headers: Mapping[str, str] | None = None) -> Answer | str:
    """Return what an address answers, or why nothing came back."""
    import httpx2

    if not url.startswith(("http://", "https://")):
        return "not an address of the web"
    wanted = {"Origin": ORIGIN, "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
    try:
        answer = httpx2.get(
            url, headers={**wanted, **(headers or {})}, follow_redirects=True, timeout=TIMEOUT_S
        )
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        return f"no answer ({str(exc) or type(exc).__name__})"
    return Answer(
        status=answer.status_code,
        headers=dict(answer.headers),
        # Packed bodies are unpacked: some hosts pack whatever was asked for, as they may.
        body=answer.content,
        # A browser ends at a redirect without CORS, whatever the last answer says.
        refused_hops=sum(not is_open(hop.headers) for hop in answer.history),
    )


def is_open(headers: Mapping[str, str]) -> bool:
    """Tell whether a page of any other origin may read an answer with these headers."""
    return headers.get("access-control-allow-origin") in ("*", ORIGIN)
