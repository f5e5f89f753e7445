"""The static server: what it gives, how, and what it keeps."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.basics.paths import site_dir
from webslm.bundle import serve
from webslm.bundle.http_rules import FOREVER, HEADERS, PAGE_POLICY
from webslm.cli.verbs.tree import run

BODY = bytes(range(256)) * 8


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "lib").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "webslm.json").write_text(json.dumps({"title": "Example"}))
    (folder / "manifest.json").write_text("{}")
    (folder / "app.js").write_text("export {};")
    (folder / "lib" / "a.wasm").write_bytes(BODY)
    (folder / "empty.bin").write_bytes(b"")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "inside.js").symlink_to(folder / "app.js")
    (folder / "outside.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "linked").symlink_to(folder / "lib", target_is_directory=True)
    return folder


@pytest.fixture
def url(bundle: Path) -> Iterator[str]:
    with serve.running_server(bundle) as address:
        yield address


def request(
    url: str, target: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Send a target as it is written; no client tidies it up on the way."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/app.js?v=1", "text/javascript; charset=utf-8"),
        ("/webslm.json", "application/json"),
        ("/lib/a.wasm", "application/wasm"),
        ("/empty.bin", "application/octet-stream"),
    ],
)
def test_get_gives_files_with_their_types(url: str, target: str, kind: str) -> None:
    status, headers, _ = request(url, target)
    assert (status, headers["Content-Type"]) == (200, kind)


def test_every_answer_carries_the_headers(url: str) -> None:
    for target in ("/", "/nothing"):
        headers = request(url, target)[1]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        policy = headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "'unsafe-eval'" not in policy


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/lib/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/lib/%2e%2e/%2e%2e/secret.txt",
        "/..\\secret.txt",
        "/%5c..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/app.js%00.html",
        "/outside.txt",
        "/inside.js",
        "/linked/a.wasm",
        "/lib",
        "/lib/",
        "/./app.js",
        "/nothing",
    ],
)
def test_get_refuses_what_is_not_a_plain_file_of_the_bundle(url: str, target: str) -> None:
    status, _, body = request(url, target)
    assert status == 404
    assert b"secret" not in body
    assert b"a.wasm" not in body


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=2000-", 2000, 2047),
        ("bytes=-48", 2000, 2047),
        ("bytes=2000-99999", 2000, 2047),
        ("bytes=-99999", 0, 2047),
    ],
)
def test_get_answers_ranges(url: str, header: str, start: int, end: int) -> None:
    status, headers, body = request(url, "/lib/a.wasm", headers={"Range": header})
    assert status == 206
    assert headers["Content-Range"] == f"bytes {start}-{end}/2048"
    assert body == BODY[start : end + 1]


@pytest.mark.parametrize("header", ["bytes=2048-", "bytes=5-4", "bytes=-", "bytes=-0", "lines=1-2"])
def test_get_refuses_impossible_ranges(url: str, header: str) -> None:
    status, headers, _ = request(url, "/lib/a.wasm", headers={"Range": header})
    assert (status, headers["Content-Range"]) == (416, "bytes */2048")


def test_head_gives_no_body(url: str) -> None:
    status, headers, body = request(url, "/lib/a.wasm", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "2048", b"")


def test_other_methods_are_refused(url: str) -> None:
    assert request(url, "/", method="POST")[0] == 501


def test_running_server_hangs_under_a_prefix_with_extra_folders(bundle: Path) -> None:
    with serve.running_server(bundle, {"/__verify__/": bundle / "lib"}, "/a/b/") as address:
        assert address.endswith("/a/b/")
        assert request(address, "/a/b/")[0] == 200
        assert request(address, "/a/b/app.js")[0] == 200
        assert request(address, "/__verify__/a.wasm")[0] == 200
        assert request(address, "/__verify__/../app.js")[0] == 404
        assert request(address, "/app.js")[0] == 404


def test_many_requests_at_once(url: str) -> None:
    bodies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: bodies.append(request(url, "/lib/a.wasm")[2]))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [BODY] * 16


def test_main_refuses_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        run(["serve", str(tmp_path / "none")])


def test_main_refuses_a_folder_that_is_no_bundle_and_names_the_one_inside(bundle: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no index\.html") as caught:
        run(["serve", str(bundle.parent)])
    assert caught.value.hint == f"python -m webslm serve {bundle}"


@pytest.mark.parametrize("words", [[], ["a", "--port", "many"], ["a", "--what"]])
def test_main_refuses_bad_arguments_in_one_line(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^serve: [^\n]+$"):
        run(["serve", *words])


def test_main_says_that_a_port_is_taken(bundle: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentMismatch, match="already in use"):
            run(["serve", str(bundle), "--port", str(port)])


def test_main_refuses_a_port_that_cannot_be(bundle: Path) -> None:
    with pytest.raises(EnvironmentMismatch, match="cannot listen"):
        run(["serve", str(bundle), "--port", "99999"])


def test_serve_calls_ready_with_a_url_that_answers(bundle: Path) -> None:
    seen: list[tuple[str, int]] = []

    def ready(url: str) -> None:
        def ask() -> None:
            seen.append((url, request(url, "/")[0]))

        threading.Thread(target=ask).start()

    server = threading.Thread(
        target=serve.serve, args=(bundle, "127.0.0.1", 0), kwargs={"ready": ready}, daemon=True
    )
    server.start()
    for _ in range(100):
        if seen:
            break
        server.join(0.05)
    assert seen
    assert seen[0][1] == 200


def test_page_policy_is_the_one_the_page_repeats() -> None:
    page = (site_dir() / "index.html").read_text(encoding="utf-8")
    assert 'http-equiv="Content-Security-Policy" content="%%POLICY%%"' in page
    assert HEADERS["Content-Security-Policy"].startswith(PAGE_POLICY)


def test_text_and_libraries_are_compressed_for_those_who_take_it(url: str, bundle: Path) -> None:
    (bundle / "app.js").write_text("export const word = 'again';\n" * 200)
    plain = request(url, "/app.js")
    status, headers, body = request(url, "/app.js", headers={"Accept-Encoding": "br, gzip"})
    assert status == 200
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Vary"] == "Accept-Encoding"
    assert int(headers["Content-Length"]) == len(body) < len(plain[2])
    assert gzip.decompress(body) == plain[2]
    assert "Content-Encoding" not in plain[1]
    (bundle / "app.js").write_text("export const word = 'other';\n" * 200)
    changed = request(url, "/app.js", headers={"Accept-Encoding": "gzip"})[2]
    assert b"other" in gzip.decompress(changed)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/lib/a.wasm", {"Accept-Encoding": "gzip;q=0, identity"}),
        ("/lib/a.wasm", {"Accept-Encoding": "gzip", "Range": "bytes=0-9"}),
        ("/empty.bin", {"Accept-Encoding": "gzip"}),
        ("/app.js", {"Accept-Encoding": "gzip"}),
    ],
)
def test_what_must_or_should_stay_as_it_is_is_not_compressed(
    url: str, target: str, headers: dict[str, str]
) -> None:
    assert "Content-Encoding" not in request(url, target, headers=headers)[1]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("index.html", "no-cache"),
        ("webslm.json", "no-cache"),
        ("lib/a.wasm", "no-cache"),
        ("app/0123456789abcdef/app.js", FOREVER),
        ("models/m/resolve/0123456789abcdef/tokenizer.json", FOREVER),
        ("lib/library-0123456789abcdef.wasm", FOREVER),
    ],
)
def test_only_names_made_of_content_may_be_kept_for_ever(
    url: str, bundle: Path, path: str, expected: str
) -> None:
    (bundle / path).parent.mkdir(parents=True, exist_ok=True)
    (bundle / path).touch()
    assert request(url, f"/{path}")[1]["Cache-Control"] == expected
