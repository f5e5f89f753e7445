"""``base`` from the hub: the real client against a server on the loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed, WebslmError
from webslm.schema import BaseSource, BaseStageConf, HubConf

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "someone/small-instruct"
TOKEN = "hf_secretsecretsecret"


class Hub(ThreadingHTTPServer):
    """Speaks what huggingface_hub 2.4 asks: model info, tree, HEAD and GET of a file."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.card: dict[str, str] = {"license": "apache-2.0"}
        self.refusal: tuple[int, str] | None = None
        self.announced: dict[str, str] = {}
        self.breaks: list[int] = []
        """After how many bytes of a large file the connection breaks, one for each answer."""
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str) -> tuple[dict[str, str], bytes]:
        if "/tree/" in path:
            rows = [
                {"type": "file", "path": name, "size": len(data), "oid": "b" * 40}
                for name, data in self.files.items()
            ]
            return {"Content-Type": "application/json"}, json.dumps(rows).encode()
        if path.removeprefix("/mirror").startswith("/api/models/"):
            info = {
                "id": NAME,
                "sha": COMMIT,
                "cardData": self.card,
                "siblings": [self.sibling(name, data) for name, data in self.files.items()],
            }
            return {"Content-Type": "application/json"}, json.dumps(info).encode()
        data = self.files[path.rsplit("/", 1)[1]]
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        return {"ETag": etag, "X-Repo-Commit": COMMIT}, data

    def sibling(self, name: str, data: bytes) -> dict[str, Any]:
        row: dict[str, Any] = {"rfilename": name, "size": len(data)}
        if name.endswith(".safetensors"):
            digest = self.announced.get(name, hashlib.sha256(data).hexdigest())
            row["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
        return row


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        pass

    def respond(self) -> None:
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization")))
        status, headers, body = 200, {}, b""
        if self.server.refusal is not None:
            status, code = self.server.refusal
            headers = {"X-Error-Code": code} if code else {}
        else:
            headers, body = self.server.answer(self.path)
        wanted = self.headers.get("Range", "")
        if wanted and "ETag" in headers:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            status, body = 206, body[start:]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.send_body(body)

    def send_body(self, body: bytes) -> None:
        if self.path.endswith(".safetensors") and self.server.breaks:
            self.wfile.write(body[: self.server.breaks.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(body)

    do_GET = do_HEAD = respond  # noqa: N815  names the server calls


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = training.make_base(tmp_path_factory.mktemp("hub") / "base")
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "base.json"}


@pytest.fixture
def hub(checkpoint: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    extra = {"README.md": b"# card", "pytorch_model.bin": b"pickle", "modeling.py": b"raise"}
    server = Hub({**checkpoint, **extra})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def build(folder: Path, licence: str = "Apache-2.0", **hub_conf: Any) -> Path:
    from webslm.stages import base

    conf = HubConf(**{"id": NAME, "revision": COMMIT, **hub_conf})
    group = training.base_conf(source=BaseSource.hub, hub=conf, licence=licence)
    out = folder / "out"
    out.mkdir(parents=True)
    base.run(BaseStageConf(base=group, seed=0), {}, out, training.context(folder))
    return out


def refused(folder: Path, **hub_conf: Any) -> WebslmError:
    with pytest.raises(WebslmError) as raised:
        build(folder, **hub_conf)
    assert "\n" not in raised.value.message
    assert TOKEN not in f"{raised.value.message} {raised.value.hint}"
    return raised.value


def test_checkpoint_is_fetched_by_commit_and_loads(
    hub: Hub, checkpoint: dict[str, bytes], tmp_path: Path
) -> None:
    from webslm.evaluation import answering
    from webslm.training import loaded as reference

    out = build(tmp_path)
    facts = json.loads((out / "base.json").read_text())
    assert (facts["id"], facts["commit"], facts["source"]) == (NAME, COMMIT, "hub")
    assert (facts["licence"], facts["licence_on_hub"]) == ("Apache-2.0", "apache-2.0")
    fetched = {name: hashlib.sha256(data).hexdigest() for name, data in checkpoint.items()}
    assert facts["files_on_hub"] == fetched
    # config.json is spelt so that every reader reads it alike.
    changed = {name for name in fetched if facts["files"][name] != fetched[name]}
    assert changed == {"config.json"}
    assert sorted(p.name for p in out.iterdir()) == sorted([*checkpoint, "base.json"])
    assert answering.greedy(reference.load_model(out), [1, 5, 6], 3).tokens
    assert all(COMMIT in path for _, path, _ in hub.requests)


def test_neither_code_nor_pickles_are_asked_for(hub: Hub, tmp_path: Path) -> None:
    build(tmp_path)
    asked = " ".join(path for _, path, _ in hub.requests)
    assert "model.safetensors" in asked
    assert ".bin" not in asked
    assert ".py" not in asked


def test_of_two_sets_of_weights_transformers_choice_is_fetched(hub: Hub, tmp_path: Path) -> None:
    first = "model-00001-of-00001.safetensors"
    index = {"metadata": {}, "weight_map": {"model.norm.weight": first}}
    hub.files |= {first: b"old", "consolidated.safetensors": b"other"}
    hub.files["model.safetensors.index.json"] = json.dumps(index).encode()
    out = build(tmp_path)
    asked = " ".join(path for _, path, _ in hub.requests)
    assert first not in asked
    assert "consolidated" not in asked
    assert [path.name for path in out.glob("*.safetensors*")] == ["model.safetensors"]


@pytest.mark.usefixtures("hub")
def test_weights_of_another_shape_are_refused_before_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training, "SHAPE", replace(training.SHAPE, intermediate_size=100))
    with pytest.raises(StageFailed, match=r"intermediate_size: checkpoint 96, base\.shape 100"):
        build(tmp_path)


def test_second_build_fetches_no_file_again(hub: Hub, tmp_path: Path) -> None:
    build(tmp_path)
    hub.requests.clear()
    (tmp_path / "out").rename(tmp_path / "first")
    build(tmp_path)
    assert not [path for method, path, _ in hub.requests if "/resolve/" in path]


def test_token_comes_from_the_environment_only(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "without")
    assert {token for _, _, token in hub.requests} == {None}
    hub.requests.clear()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    out = build(tmp_path / "with")
    assert {token for _, _, token in hub.requests} == {f"Bearer {TOKEN}"}
    assert TOKEN not in (out / "base.json").read_text()


@pytest.mark.parametrize("revision", [None, "main", "v1.0", COMMIT[:12], COMMIT.upper()])
def test_revision_that_can_move_is_refused_before_any_request(
    hub: Hub, tmp_path: Path, revision: str | None
) -> None:
    error = refused(tmp_path, revision=revision)
    assert isinstance(error, ConfigError)
    assert "base.hub.revision" in error.message
    assert not hub.requests


@pytest.mark.parametrize("name", [None, "small", "a/b/c", "../x"])
def test_name_that_is_no_repository_is_refused_before_any_request(
    hub: Hub, tmp_path: Path, name: str | None
) -> None:
    assert isinstance(refused(tmp_path, id=name), ConfigError)
    assert not hub.requests


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ((403, "GatedRepo"), EnvironmentMismatch, "is gated"),
        ((404, "RepoNotFound"), ConfigError, "does not exist or is private"),
        ((404, "RevisionNotFound"), ConfigError, f"has no commit {COMMIT}"),
        ((418, ""), EnvironmentMismatch, "status 418"),
    ],
)
def test_refusals_of_the_hub_are_one_sentence_each(
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: tuple[int, str],
    kind: type[WebslmError],
    words: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.refusal = refusal
    error = refused(tmp_path)
    assert type(error) is kind
    assert words in error.message


def test_hub_that_cannot_be_reached_is_explained(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = refused(tmp_path)
    assert isinstance(error, EnvironmentMismatch)
    assert "cannot be reached" in error.message
    assert error.hint is not None
    assert "base=tiny" in error.hint


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_offline_mode_is_explained(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_offline(monkeypatch)
    error = refused(tmp_path)
    assert isinstance(error, EnvironmentMismatch)
    assert "HF_HUB_OFFLINE" in error.message
    assert not hub.requests


@pytest.mark.parametrize("place", ["webslm's", "the user's"])
def test_checkpoint_on_the_disk_is_enough_without_a_network(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    import huggingface_hub.constants

    first = build(tmp_path)
    first.rename(tmp_path / "first")
    hub.requests.clear()
    kept = next(tmp_path.rglob("snapshots")).parent
    if place == "the user's":
        kept = kept.rename(tmp_path / kept.name)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    go_offline(monkeypatch)
    again = build(tmp_path)
    assert not hub.requests
    names = {path.name for path in again.iterdir()}
    assert names == {path.name for path in (tmp_path / "first").iterdir()}
    for name in names - {"base.json"}:
        assert (again / name).read_bytes() == (tmp_path / "first" / name).read_bytes()


def test_incomplete_checkpoint_names_what_is_missing_offline(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path).rename(tmp_path / "first")
    next(tmp_path.rglob("snapshots/*/model.safetensors")).unlink()
    go_offline(monkeypatch)
    assert "model.safetensors is not kept" in refused(tmp_path).message


def test_damaged_file_on_the_disk_is_refused_offline(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path).rename(tmp_path / "first")
    blob = next(tmp_path.rglob("snapshots/*/config.json")).resolve()
    content = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(content.replace(b"qwen2", b"qwen3"))
    go_offline(monkeypatch)
    error = refused(tmp_path)
    assert isinstance(error, StageFailed)
    assert "config.json" in error.message


def test_small_file_is_held_to_gits_own_id(tmp_path: Path) -> None:
    from webslm.hub import cache as hub_cache

    content = b"{}\n"
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    for folder in (blobs, snapshot, tmp_path / "out"):
        folder.mkdir()
    ident = hashlib.sha1(b"blob 3\0" + content, usedforsecurity=False).hexdigest()
    (blobs / ident).write_bytes(content)
    (snapshot / "config.json").symlink_to(blobs / ident)
    found = hub_cache.take(snapshot, tmp_path / "out", NAME)
    assert found == {"config.json": hashlib.sha256(content).hexdigest()}
    (blobs / ident).write_bytes(b"[]\n")
    with pytest.raises(StageFailed, match="config"):
        hub_cache.take(snapshot, tmp_path / "out", NAME)


def test_broken_download_goes_on_where_it_broke(
    hub: Hub, checkpoint: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client waits between its own tries.
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.breaks = [1000, 500]
    sent = len(checkpoint["model.safetensors"])
    out = build(tmp_path)
    assert (out / "model.safetensors").read_bytes() == checkpoint["model.safetensors"]
    asked = [path for method, path, _ in hub.requests if method == "GET" and "safetensors" in path]
    assert len(asked) == 3
    assert sent > 1500


def test_files_that_arrived_are_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    hub.announced["model.safetensors"] = "0" * 64
    refused(tmp_path)
    arrived = [path for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path]
    assert arrived
    hub.announced.clear()
    hub.requests.clear()
    (tmp_path / "out").rename(tmp_path / "failed")
    build(tmp_path)
    assert not [path for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path]


def test_mirror_below_a_path_is_asked_for_everything(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{hub.url}/mirror")
    build(tmp_path)
    assert hub.requests
    assert all(path.startswith("/mirror/") for _, path, _ in hub.requests)


def test_repository_without_safetensors_is_refused(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    assert "no safetensors weights" in refused(tmp_path).message


def test_repository_without_a_tokenizer_file_is_refused(hub: Hub, tmp_path: Path) -> None:
    del hub.files["tokenizer.json"]
    assert "has no tokenizer.json" in refused(tmp_path).message


def test_file_that_is_not_the_announced_one_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.announced["model.safetensors"] = "0" * 64
    error = refused(tmp_path)
    assert isinstance(error, StageFailed)
    assert "model.safetensors" in error.message


def test_licence_must_be_the_one_of_the_card(hub: Hub, tmp_path: Path) -> None:
    hub.card = {"license": "other", "license_name": "some-research-terms"}
    error = refused(tmp_path)
    assert isinstance(error, ConfigError)
    assert "some-research-terms" in error.message


def test_template_in_a_file_of_its_own_is_folded_in(hub: Hub, tmp_path: Path) -> None:
    config = json.loads(hub.files["tokenizer_config.json"])
    template = config.pop("chat_template")
    hub.files["tokenizer_config.json"] = json.dumps(config).encode()
    hub.files["chat_template.jinja"] = template.encode()
    out = build(tmp_path)
    assert not (out / "chat_template.jinja").exists()
    assert json.loads((out / "tokenizer_config.json").read_text())["chat_template"] == template


def test_base_without_a_template_is_refused(hub: Hub, tmp_path: Path) -> None:
    config = json.loads(hub.files["tokenizer_config.json"])
    del config["chat_template"]
    hub.files["tokenizer_config.json"] = json.dumps(config).encode()
    assert "no chat template" in refused(tmp_path).message
