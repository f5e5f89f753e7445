"""``data`` from the hub: the real client against a server on the loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed
from webslm.basics.stage import Context
from webslm.hub.rows import choose
from webslm.schema import DataConf, DataStageConf, HubRowsConf
from webslm.stages import data

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "someone/their-rows"


def line(question: str) -> str:
    return json.dumps({"instruction": question, "input": "", "output": "An answer."}) + "\n"


FILES = {
    "README.md": b"# card",
    "their-rows.py": b"raise SystemExit('a script from the hub was run')",
    "dataset_infos.json": b"{}",
    "train/a [1].jsonl": (line("Why?") + line("How?")).encode(),
    "train/b.csv": b"question,answer\nWhere?,Here.\n",
    "test/a.jsonl": line("When?").encode(),
}


class Hub(ThreadingHTTPServer):
    """Speaks what huggingface_hub 2.4 asks for a dataset."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(FILES)
        self.sha = COMMIT
        self.refusal: tuple[int, str] | None = None
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str) -> tuple[dict[str, str], bytes]:
        if "/tree/" in path:
            rows = [
                {"type": "file", "path": name, "size": len(content), "oid": "b" * 40}
                for name, content in self.files.items()
            ]
            return {"Content-Type": "application/json"}, json.dumps(rows).encode()
        if path.startswith("/api/datasets/"):
            siblings = [{"rfilename": name} for name in self.files]
            info: dict[str, Any] = {"id": NAME, "sha": self.sha, "siblings": siblings}
            return {"Content-Type": "application/json"}, json.dumps(info).encode()
        content = self.files[path.split(f"/resolve/{COMMIT}/")[1]]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        return {"ETag": etag, "X-Repo-Commit": COMMIT}, content


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        pass

    def respond(self) -> None:
        path = unquote(self.path)
        self.server.requests.append(path)
        status, headers, body = 200, {}, b""
        if self.server.refusal is not None:
            status, code = self.server.refusal
            headers = {"X-Error-Code": code} if code else {}
        else:
            headers, body = self.server.answer(path)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD = respond  # noqa: N815  names the server calls


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def build(folder: Path, out: str = "out", **hub_conf: Any) -> list[str]:
    conf = DataConf(hub=HubRowsConf(**{"id": NAME, "revision": COMMIT, **hub_conf}))
    target = folder / out
    target.mkdir()
    context = Context(cache_dir=folder / "cache", log_dir=folder)
    data.run(DataStageConf(data=conf), {}, target, context)
    text = "".join((target / f"{name}.jsonl").read_text() for name in ("train", "held_out"))
    return sorted(json.loads(row)["messages"][0]["content"] for row in text.splitlines())


def test_all_data_files_of_the_commit_are_read_once(hub: Hub, tmp_path: Path) -> None:
    assert build(tmp_path) == ["How?", "When?", "Where?", "Why?"]
    asked = len(hub.requests)
    assert not any(name in path for path in hub.requests for name in ("README", "rows.py"))
    assert all(COMMIT in path for path in hub.requests if "/resolve/" in path)
    hub.refusal = (503, "")
    assert build(tmp_path, "again") == ["How?", "When?", "Where?", "Why?"]
    assert len(hub.requests) == asked


def test_pattern_chooses_files(hub: Hub, tmp_path: Path) -> None:
    assert build(tmp_path, files="train/*.jsonl") == ["How?", "Why?"]
    with pytest.raises(ConfigError, match=r"data\.hub\.files: no file") as caught:
        build(tmp_path, "none", files="*.zip")
    assert "train/b.csv" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("refusal", "kind", "told"),
    [
        ((404, "RepoNotFound"), ConfigError, "there is no dataset"),
        ((404, "RevisionNotFound"), ConfigError, "has no commit"),
        ((403, "GatedRepo"), EnvironmentMismatch, "gated"),
        ((500, ""), EnvironmentMismatch, "status 500"),
    ],
)
def test_refusal_is_one_sentence_with_a_hint(
    hub: Hub, tmp_path: Path, refusal: tuple[int, str], kind: type[Exception], told: str
) -> None:
    hub.refusal = refusal
    with pytest.raises(kind, match=told) as caught:
        build(tmp_path)
    assert getattr(caught.value, "hint", None)


def test_other_commit_than_the_pinned_one_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.sha = "f" * 40
    with pytest.raises(StageFailed, match="commit ffff"):
        build(tmp_path)


def test_unreachable_hub_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentMismatch, match="cannot be reached"):
        build(tmp_path)


@pytest.mark.parametrize("name", ["../up.jsonl", "/etc/rows.jsonl", "a/../../x.csv", "a\\b.csv"])
def test_name_that_leads_out_of_the_dataset_is_refused(name: str) -> None:
    with pytest.raises(StageFailed, match="outside the dataset"):
        choose([name], HubRowsConf(id=NAME))
