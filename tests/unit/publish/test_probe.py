"""A published address seen as a browser of another origin sees it."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator

import pytest

from tests.loopback import Loopback, Reply, loopback
from webslm.publish.probe import ORIGIN, Answer, ask, probe_model

BODY = b"weights" * 9
FILES = {"a.bin": {"bytes": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}}
OPEN = {"Access-Control-Allow-Origin": "*"}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


def answered(url: str) -> Answer:
    answer = ask(url)
    assert isinstance(answer, Answer)
    return answer


def test_it_asks_as_a_page_of_another_origin_and_takes_no_old_copy(server: Loopback) -> None:
    server.replies["/"] = [Reply(body=b"x", headers={"Content-Type": "text/html; charset=utf-8"})]
    answer = answered(f"{server.url}/")
    assert (answer.status, answer.body, answer.kind) == (200, b"x", "text/html")
    [(_, _, headers)] = server.asked
    assert headers["origin"] == ORIGIN
    assert headers["cache-control"] == "no-cache"
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers


def test_packed_body_counts_unpacked(server: Loopback) -> None:
    packed = Reply(body=gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
    server.replies["/"] = [packed]
    assert answered(f"{server.url}/").body == BODY


def test_redirects_without_cors_are_counted(server: Loopback) -> None:
    server.replies["/a"] = [Reply(status=302, headers={"Location": "/b"})]
    server.replies["/b"] = [Reply(status=307, headers={"Location": "/c", **OPEN})]
    server.replies["/c"] = [Reply(body=b"there", headers=OPEN)]
    answer = answered(f"{server.url}/a")
    assert (answer.body, answer.refused_hops) == (b"there", 1)


def test_refusals_are_answers_and_silence_is_told(server: Loopback) -> None:
    assert answered(f"{server.url}/nothing").status == 404
    server.replies["/loop"] = [Reply(status=302, headers={"Location": "/loop"})]
    server.replies["/silent"] = [Reply(status=None)]
    packed = Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"})
    server.replies["/broken"] = [packed]
    for path in ("loop", "silent", "broken"):
        assert str(ask(f"{server.url}/{path}")).startswith("no answer (")
    assert "refused" in str(ask("http://127.0.0.1:9/"))
    assert str(ask("http://[/")).startswith("no answer (")
    assert ask("file:///etc/hostname") == "not an address of the web"


def test_model_without_ranges_works_and_without_cors_does_not(server: Loopback) -> None:
    server.replies["/a.bin"] = [Reply(body=BODY, headers=OPEN)]
    [slow] = probe_model(f"{server.url}/", FILES)
    assert (slow.fatal, "no ranges" in slow.text) == (False, True)
    server.replies["/a.bin"] = [
        Reply(body=BODY),
        Reply(status=206, body=BODY[1:3], headers={"Content-Range": f"bytes 1-2/{len(BODY)}"}),
    ]
    [closed] = probe_model(f"{server.url}/", FILES)
    assert (closed.fatal, "no CORS header" in closed.text) == (True, True)
