"""A hub on the loopback for uploads: the requests of huggingface_hub 2.4, state and refusals.

A repository is a list of commits; a commit is all files by name. Large files lie beside, by sha256,
as the real hub keeps them: sent before the commit that names them, invisible until then.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LFS_BYTES = 10_000
"""Files of at least this size go by the large-file protocol."""
TOKEN = "hf_secretsecretsecret"
Body = dict[str, Any] | list[Any] | bytes


@dataclass
class Repository:
    """One model repository."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1] if self.commits else {}

    def add(self, files: dict[str, bytes]) -> str:
        text = repr([*self.commits, sorted(files)]) + str(len(self.commits))
        ident = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits.append((ident, files))
        return ident


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class HubServer(ThreadingHTTPServer):
    """Answers, remembers, and does what ``at_request`` says when its time has come."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.whoami: dict[str, Any] = {
            "type": "user",
            "name": "someone",
            "orgs": [{"name": "clinic", "roleInOrg": "write"}],
            "auth": {"type": "access_token", "accessToken": {"role": "write"}},
        }
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.requests: list[str] = []
        self.at_request: Callable[[int], None] = lambda _: None
        self.cors = True
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, body: bytes, token: str | None) -> Body:
        with self.lock:
            self.requests.append(f"{method} {path}")
            number = len(self.requests)
        self.at_request(number)
        words = [unquote(word) for word in path.strip("/").split("/")]
        if words[0] == "lfs" and method == "PUT":
            # Storage knows no hub token: its addresses are signed.
            return self.store(words[1], body)
        if words[2:3] == ["resolve"]:
            return self.file("/".join(words[:2]), words[3], "/".join(words[4:]), token)
        if token != f"Bearer {TOKEN}":
            raise Refused(401)
        if words[-3:] == ["lfs", "objects", "batch"]:
            return self.batch(json.loads(body))
        return self.api(method, words[1:], body)

    def api(self, method: str, words: list[str], body: bytes) -> Body:
        if words == ["whoami-v2"]:
            return self.whoami
        if words == ["validate-yaml"]:
            text = json.loads(body)["content"]
            if not text.startswith("---\n"):
                raise Refused(400, message="no metadata")
            return {"errors": [], "warnings": []}
        if words == ["repos", "create"]:
            return self.create(json.loads(body))
        repo = "/".join(words[1:3])
        if repo not in self.repositories:
            raise Refused(404, "RepoNotFound")
        found, rest = self.repositories[repo], words[3:]
        if not rest or rest[0] == "revision":
            return self.info(repo, found, rest[1] if rest else "main")
        if rest[0] == "preupload":
            rows = json.loads(body)["files"]
            return {"files": [self.preupload(found, row) for row in rows]}
        if rest[0] == "commit":
            return self.commit(repo, found, body)
        assert rest == ["settings"], words
        found.settings.append(json.loads(body))
        found.private = found.settings[-1].get("visibility") != "public"
        return {}

    def create(self, wish: dict[str, Any]) -> Body:
        repo = f"{wish.get('organization') or self.whoami['name']}/{wish['name']}"
        if repo in self.repositories:
            raise Refused(409, message="You already created this model repo")
        made = Repository(private=wish.get("visibility") == "private")
        made.add({".gitattributes": b"*.bin filter=lfs\n"})
        self.repositories[repo] = made
        return {"url": f"{self.url}/{repo}", "name": repo, "id": "1"}

    def info(self, repo: str, found: Repository, revision: str) -> Body:
        ident, files = self.at(found, revision)
        return {
            "_id": "1",
            "id": repo,
            "sha": ident,
            "private": found.private,
            "siblings": [{"rfilename": n, "size": len(data)} for n, data in files.items()],
        }

    def at(self, found: Repository, revision: str) -> tuple[str, dict[str, bytes]]:
        if revision == "main":
            return found.commits[-1]
        for ident, files in found.commits:
            if ident == revision:
                return ident, files
        raise Refused(404, "RevisionNotFound")

    def preupload(self, found: Repository, row: dict[str, Any]) -> dict[str, Any]:
        known = found.files.get(row["path"])
        large = row["size"] >= LFS_BYTES
        return {
            "path": row["path"],
            "uploadMode": "lfs" if large else "regular",
            "shouldIgnore": False,
            "oid": None if known is None else oid(known, large=large),
        }

    def batch(self, wish: dict[str, Any]) -> Body:
        assert wish["operation"] == "upload"
        rows = []
        for row in wish["objects"]:
            answer = {"oid": row["oid"], "size": row["size"]}
            if row["oid"] not in self.large:
                answer["actions"] = {"upload": {"href": f"{self.url}/lfs/{row['oid']}"}}
            rows.append(answer)
        return {"transfer": "basic", "objects": rows}

    def store(self, ident: str, body: bytes) -> Body:
        if hashlib.sha256(body).hexdigest() != ident:
            raise Refused(400, message="wrong bytes")
        self.large[ident] = body
        self.uploads.append(ident)
        return b""

    def commit(self, repo: str, found: Repository, body: bytes) -> Body:
        files = dict(found.files)
        for line in body.splitlines():
            row = json.loads(line)
            kind, value = row["key"], row["value"]
            if kind == "header" and value.get("parentCommit") not in (None, found.commits[-1][0]):
                raise Refused(412, message="the branch moved")
            if kind == "file":
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            elif kind == "deletedFile":
                del files[value["path"]]
        ident = found.add(files)
        return {
            "success": True,
            "commitOid": ident,
            "commitUrl": f"{self.url}/{repo}/commit/{ident}",
        }

    def file(self, repo: str, revision: str, name: str, token: str | None) -> Body:
        found = self.repositories.get(repo)
        if found is None or (found.private and token is None):
            raise Refused(401)
        _, files = self.at(found, revision)
        if name not in files:
            raise Refused(404, "EntryNotFound")
        return files[name]


def oid(data: bytes, *, large: bool) -> str:
    """Return what names a file on the hub: git's own id of a small one, sha256 of a large one."""
    if large:
        return hashlib.sha256(data).hexdigest()
    header = f"blob {len(data)}\0".encode()
    return hashlib.sha1(header + data, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        pass

    def respond(self) -> None:
        body = self.read_body()
        path = urlsplit(self.path).path
        token = self.headers.get("Authorization")
        headers: dict[str, str] = {}
        try:
            answer = self.server.answer(self.command, path, body, token)
            status = 200
        except Refused as exc:
            status, answer = exc.status, {"error": exc.message}
            headers = {"X-Error-Code": exc.code} if exc.code else {}
            headers |= {"X-Error-Message": exc.message} if exc.message else {}
        except ConnectionAbortedError:
            self.close_connection = True
            return
        self.send(status, headers, answer)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send(self, status: int, headers: dict[str, str], answer: Body) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        wanted = self.headers.get("Range")
        if wanted and status == 200:
            first, last = (int(n) for n in wanted.removeprefix("bytes=").split("-"))
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            status, data = 206, data[first : last + 1]
        if self.server.cors:
            headers["Access-Control-Allow-Origin"] = "*"
        if isinstance(answer, bytes) and self.path.endswith(".wasm"):
            headers["Content-Type"] = "application/wasm"
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = respond  # noqa: N815  names the server calls


@contextmanager
def running() -> Iterator[HubServer]:
    """Serve until the end of the block."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def dropping(at: int) -> Callable[[int], None]:
    """Return an ``at_request`` that breaks the connection at one request and all later ones."""

    def drop(number: int) -> None:
        if number >= at:
            raise ConnectionAbortedError

    return drop


def refusing(at: int, status: int = 400) -> Callable[[int], None]:
    """Return an ``at_request`` that refuses one request, by its number."""

    def refuse(number: int) -> None:
        if number == at:
            raise Refused(status, message="not now")

    return refuse


def killing(at: int, pid: Callable[[], int]) -> Callable[[int], None]:
    """Return an ``at_request`` that kills the client at one request, unanswered."""

    def kill(number: int) -> None:
        if number == at:
            os.kill(pid(), signal.SIGKILL)
            raise ConnectionAbortedError

    return kill
