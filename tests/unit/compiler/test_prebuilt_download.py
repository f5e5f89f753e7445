"""A library of others fetched by its address, and what is said where it is not to be had."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import Loopback, Reply, loopback
from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.compiler.prebuilt import _obtain
from webslm.config.compose import compose

BODY = b"\0asm" * 99


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


def obtain(url: str, target: Path, *words: str) -> None:
    _obtain(compose(["compiler=prebuilt", f"compiler.url={url}", *words]).compiler, target)


def test_library_comes_through_redirects(server: Loopback, tmp_path: Path) -> None:
    server.replies["/a"] = [Reply(status=302, headers={"Location": "/b"})]
    server.replies["/b"] = [Reply(body=BODY)]
    digest = hashlib.sha256(BODY).hexdigest()
    obtain(f"{server.url}/a", tmp_path / "x.wasm", f"compiler.sha256={digest}")
    assert (tmp_path / "x.wasm").read_bytes() == BODY
    with pytest.raises(ConfigError, match="pinned is"):
        obtain(f"{server.url}/b", tmp_path / "y.wasm", f"compiler.sha256={'0' * 64}")
    assert not (tmp_path / "y.wasm").exists()


def test_what_hinders_is_told_and_nothing_is_left(server: Loopback, tmp_path: Path) -> None:
    server.replies["/silent"] = [Reply(status=None)]
    for url, reason in (
        (f"{server.url}/none", "status 404$"),
        (f"{server.url}/silent", "disconnected"),
        ("http://127.0.0.1:9/x", "refused"),
    ):
        with pytest.raises(EnvironmentMismatch, match=reason):
            obtain(url, tmp_path / "x.wasm")
        assert not (tmp_path / "x.wasm").exists()
    with pytest.raises(ConfigError, match="not an address of the web"):
        obtain("ftp://127.0.0.1/x", tmp_path / "x.wasm")
