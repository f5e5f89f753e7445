"""Publishing a real build to folders, to a bare repository and as a release; nothing half, ever."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.delivered import slim
from tests.integration.conftest import TAUGHT, run_build
from tests.locks import schema_errors
from webslm.basics.errors import ConfigError, EnvironmentMismatch, PublishError
from webslm.basics.fs import tree_files
from webslm.basics.keys import file_digest
from webslm.basics.screen import Screen
from webslm.bundle.serve import running_server
from webslm.engine.lock.file import check_lock, read_lock, write_lock
from webslm.publish import folder as to_folder
from webslm.publish.delivered import Published
from webslm.publish.probe import Finding, probe_model, probe_site
from webslm.publish.run import check, publish
from webslm.schema import ArchiveFormat, History, HostConf, PublishConf, Target


@pytest.fixture
def output(taught: Path, tmp_path: Path) -> Path:
    """A delivered build of this test's own."""
    return slim(taught, tmp_path / "out")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    git("init", "--quiet", "--bare", str(tmp_path / "remote.git"))
    return tmp_path / "remote.git"


def git(*words: str, at: Path | None = None) -> str:
    place = [] if at is None else ["--git-dir", str(at)]
    done = subprocess.run(["git", *place, *words], capture_output=True, text=True, check=True)
    return done.stdout


def put(output: Path, target: Target, host: HostConf | None = None, **values: Any) -> Published:
    conf = PublishConf(target=target, **values)
    check(conf, "medical")
    done = publish(conf, host or HostConf(), output, Screen(quiet=True))
    assert done is not None
    return done


def digests(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): file_digest(p) for p in tree_files(folder)}


def test_folder_gets_the_whole_site_and_the_lock_says_so(output: Path, tmp_path: Path) -> None:
    place = tmp_path / "www" / "site"
    done = put(output, Target.folder, path=str(place))
    assert digests(place) == digests(output / "bundle")
    assert done.place == str(place)
    lock = read_lock(output)
    assert [entry["place"] for entry in lock["published"]] == [str(place)]
    assert not schema_errors(lock)
    assert check_lock(output) == len(digests(place))
    assert [path.name for path in place.parent.iterdir()] == ["site"]


def test_older_site_is_exchanged_and_another_folder_left_alone(
    output: Path, tmp_path: Path
) -> None:
    place = tmp_path / "site"
    put(output, Target.folder, path=str(place))
    (place / "models" / "old.bin").write_bytes(b"of an older build")
    put(output, Target.folder, path=str(place))
    assert digests(place) == digests(output / "bundle")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "diary.txt").write_text("dear diary")
    with pytest.raises(ConfigError, match="did not put there"):
        put(output, Target.folder, path=str(mine))
    assert (mine / "diary.txt").read_text() == "dear diary"


def test_visitor_meets_a_whole_site_at_any_moment(output: Path, tmp_path: Path) -> None:
    place, torn = tmp_path / "site", []
    put(output, Target.folder, path=str(place))
    done = threading.Event()

    def visit() -> None:
        while not done.is_set():
            try:
                json.loads((place / "manifest.json").read_text())
            except (OSError, ValueError) as exc:
                torn.append(exc)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        for _ in range(3):
            put(output, Target.folder, path=str(place))
    finally:
        done.set()
        visitor.join()
    assert not torn


@pytest.mark.parametrize("at_once", [True, False])
def test_full_disk_leaves_the_older_site_and_the_build(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    place = tmp_path / "site"
    put(output, Target.folder, path=str(place))
    before = digests(place)

    def full(root: Path) -> None:
        raise OSError(28, "No space left on device", str(root))

    if at_once:
        monkeypatch.setattr(to_folder, "sync_tree", full)
    else:
        monkeypatch.setattr(to_folder, "_exchange_at_once", lambda new, target: False)
        rename = Path.rename

        def failing(self: Path, target: Path) -> Path:
            if self.name == "site" and self.parent.name.startswith(".publish"):
                raise OSError(28, "No space left on device", str(target))
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(PublishError, match="No space left"):
        put(output, Target.folder, path=str(place))
    assert digests(place) == before
    assert check_lock(output) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "site"]


def test_site_too_large_for_its_host_is_refused(output: Path, tmp_path: Path) -> None:
    host = HostConf(name="small", max_file_bytes=20_000)
    with pytest.raises(PublishError, match="small allows 20000 in a file"):
        put(output, Target.folder, host, path=str(tmp_path / "site"))
    assert not (tmp_path / "site").exists()


def test_build_that_no_browser_proved_is_refused_unless_wished(
    output: Path, tmp_path: Path
) -> None:
    lock = read_lock(output)
    del lock["metrics"]["verify"]
    write_lock(output, lock)
    place = str(tmp_path / "site")
    with pytest.raises(PublishError, match="no browser has proven"):
        put(output, Target.folder, path=place)
    put(output, Target.folder, path=place, unproven=True)
    put(output, Target.release, path=str(tmp_path / "rel"), unproven=True)
    (notes,) = (tmp_path / "rel").glob("*.md")
    assert "No browser has proven this build" in notes.read_text()


def test_branch_holds_the_site_and_remembers(
    output: Path, remote: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A user's own configuration that would change or drop files.
    home = tmp_path / "home"
    home.mkdir()
    (home / "ignored").write_text("*.bin\n*.wasm\n")
    (home / "attributes").write_text("*.json text eol=crlf\n*.js filter=upper\n")
    (home / ".gitconfig").write_text(
        f"[core]\nautocrlf=true\nexcludesFile={home / 'ignored'}\n"
        f'attributesFile={home / "attributes"}\n[filter "upper"]\nclean=tr a-z A-Z\n'
        "[user]\nname=Somebody\nemail=some@body.invalid\n"
    )
    monkeypatch.setenv("HOME", str(home))
    done = put(output, Target.pages, remote=str(remote))
    again = put(output, Target.pages, remote=str(remote))
    assert (again.commit, again.unchanged) == (done.commit, True)
    git(
        "clone",
        "--quiet",
        "--branch=gh-pages",
        str(remote),
        str(tmp_path / "clone"),
        "-c",
        "core.autocrlf=false",
        "-c",
        "core.attributesFile=/dev/null",
    )
    shutil.rmtree(tmp_path / "clone" / ".git")
    assert digests(tmp_path / "clone") == {
        **digests(output / "bundle"),
        ".nojekyll": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    assert git("log", "--format=%an", "gh-pages", at=remote).split() == ["Somebody"]
    assert read_lock(output)["published"][0]["commit"] == done.commit


@pytest.mark.parametrize(("history", "commits"), [(History.keep, 2), (History.orphan, 1)])
def test_history_is_kept_or_not_and_the_domain_always(
    output: Path, remote: Path, tmp_path: Path, history: History, commits: int
) -> None:
    first = put(output, Target.pages, remote=str(remote))
    work = tmp_path / "work"
    git("clone", "--quiet", "--branch=gh-pages", str(remote), str(work))
    (work / "CNAME").write_text("assistant.invalid\n")
    (work / "stale.bin").write_bytes(b"old")
    named = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    subprocess.run(["git", "-C", work, "add", "-A"], check=True)
    subprocess.run(["git", "-C", work, *named, "commit", "-qm", "domain", "--amend"], check=True)
    subprocess.run(["git", "-C", work, "push", "-qf"], check=True)
    second = put(output, Target.pages, remote=str(remote), history=history)
    assert second.commit != first.commit
    assert len(git("rev-list", "gh-pages", at=remote).split()) == commits
    names = git("ls-tree", "-r", "--name-only", "gh-pages", at=remote).split()
    assert "CNAME" in names
    assert "stale.bin" not in names


def test_refused_push_leaves_the_branch_and_the_build(output: Path, remote: Path) -> None:
    put(output, Target.pages, remote=str(remote))
    before = git("rev-parse", "gh-pages", at=remote)
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'GH001: this exceeds the file size limit' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PublishError) as raised:
        put(output, Target.pages, remote=str(remote), history=History.orphan, branch="gh-pages2")
    assert "\n" not in raised.value.message
    assert git("rev-parse", "gh-pages", at=remote) == before
    assert "gh-pages2" not in git("branch", at=remote)
    assert check_lock(output) > 0
    assert not list(output.glob(".publish-*"))


def test_repository_that_is_not_there_is_told_before_the_build(tmp_path: Path) -> None:
    conf = PublishConf(target=Target.pages, remote=str(tmp_path / "none.git"))
    with pytest.raises(EnvironmentMismatch, match="there is no such repository"):
        check(conf, "medical")


@pytest.mark.parametrize("kind", list(ArchiveFormat))
def test_release_is_the_same_bytes_again_and_unpacks_to_the_build(
    output: Path, tmp_path: Path, kind: ArchiveFormat
) -> None:
    done = put(output, Target.release, path=str(tmp_path / "one"), archive=kind)
    other = put(output, Target.release, path=str(tmp_path / "two"), archive=kind)
    archive = Path(done.place)
    assert archive.read_bytes() == Path(other.place).read_bytes()
    sums = Path(f"{archive}.sha256").read_text()
    assert sums == f"{file_digest(archive)}  {archive.name}\n"
    notes = Path(f"{archive}.notes.md").read_text()
    assert "without CORS" in notes
    if kind is ArchiveFormat.zip:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(tmp_path / "unpacked")
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path / "unpacked", filter="data")
    unpacked = tmp_path / "unpacked" / "medical-tiny-q4f32_1"
    assert check_lock(unpacked) == len(digests(output / "bundle"))
    assert "published" not in read_lock(unpacked)


def test_archive_above_the_assets_limit_is_refused(output: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="max_archive_bytes allows 1000"):
        put(output, Target.release, path=str(tmp_path / "rel"), max_archive_bytes=1000)
    assert not list((tmp_path / "rel").iterdir())


def site_files(output: Path) -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = json.loads(
        (output / "bundle" / "manifest.json").read_text()
    )["files"]
    return files


def test_site_on_a_good_host_has_no_findings(output: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    put(output, Target.folder, path=str(place))
    with running_server(place, prefix="/a/b/") as url:
        done = put(output, Target.folder, path=str(place), url=url)
        assert probe_site(url.rstrip("/"), site_files(output), 0) == []
    assert done.url == url


class Host(SimpleHTTPRequestHandler):
    """A plain host: no ranges; types and CORS as a test says."""

    types: dict[str, str] = {}
    cors: str | None = None
    moved: str | None = None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        pass

    def guess_type(self, path: Any) -> str:
        return self.types.get(Path(path).suffix) or super().guess_type(path)

    def end_headers(self) -> None:
        if self.cors:
            self.send_header("Access-Control-Allow-Origin", self.cors)
        super().end_headers()

    def do_GET(self) -> None:
        if self.moved:
            self.send_response(302)
            # The answer that only points elsewhere carries no CORS header.
            self.send_header("Location", self.moved + self.path)
            self.send_header("Content-Length", "0")
            SimpleHTTPRequestHandler.end_headers(self)
            return
        super().do_GET()


@contextmanager
def hosting(folder: Path, **values: Any) -> Iterator[str]:
    kind = type("Host", (Host,), values)

    def handler(*args: Any) -> Any:
        return kind(*args, directory=str(folder))

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def texts(findings: list[Finding], *, fatal: bool) -> str:
    return "\n".join(finding.text for finding in findings if finding.fatal is fatal)


def test_host_without_ranges_and_types_is_told(output: Path) -> None:
    odd = {".js": "text/plain", ".wasm": "application/octet-stream"}
    with hosting(output / "bundle", types=odd) as url:
        found = probe_site(url, site_files(output), 0)
    assert "type 'text/plain', browsers load no module" in texts(found, fatal=True)
    assert "instead of application/wasm" in texts(found, fatal=False)
    assert "no ranges" in texts(found, fatal=False)


def truncate(place: Path) -> None:
    (shard,) = place.rglob("params_shard_0.bin")
    content = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(content[:-1])


def remove_library(place: Path) -> None:
    next(place.rglob("*.wasm")).unlink()


def another_build(place: Path) -> None:
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"]["index.html"]["sha256"] = "0" * 64
    (place / "manifest.json").unlink()
    (place / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "params_shard_0.bin: other bytes"),
        (remove_library, "status 404"),
        (another_build, "another build lies there"),
        (shutil.rmtree, "status 404; is this the site's own folder?"),
    ],
)
def test_what_differs_at_the_address_is_told(
    output: Path, damage: Callable[[Path], None], words: str
) -> None:
    files = site_files(output)
    damage(output / "bundle")
    with hosting(output / "bundle") as url:
        assert words in texts(probe_site(url, files, 0), fatal=True)


def test_nobody_at_the_address_is_told(output: Path) -> None:
    found = probe_site("http://127.0.0.1:9/", site_files(output), 0)
    assert "no answer" in texts(found, fatal=True)
    assert "wants https" in texts(probe_site("http://example.invalid/", {}, 0), fatal=True)


@pytest.mark.parametrize(
    ("cors", "told"), [(None, True), ("https://other.invalid", True), ("*", False)]
)
def test_model_files_need_cors(output: Path, cors: str | None, *, told: bool) -> None:
    page = json.loads((output / "bundle" / "webslm.json").read_text())["model"]
    files = {entry["path"]: entry for entry in page["files"]}
    with hosting(output / "bundle" / page["url"], cors=cors) as url:
        found = probe_model(f"{url}/", files)
        with hosting(output, moved=url) as detour:
            moved = probe_model(f"{detour}/", files)
    assert ("no CORS" in texts(found, fatal=True)) is told
    assert "no CORS" in texts(moved, fatal=True)


def test_build_publishes_last_and_keeps_its_record(taught: Path, tmp_path: Path) -> None:
    words = (*TAUGHT, "publish=folder", f"publish.path={tmp_path}/site")
    done = run_build(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").is_file()
    output = tmp_path / "outputs" / "medical-tiny-q4f32_1"
    again = run_build(*TAUGHT, cwd=tmp_path)
    assert again.returncode == 0
    assert read_lock(output)["published"][0]["place"] == f"{tmp_path}/site"


def test_failed_publication_has_its_own_code_and_the_build_is_delivered(
    taught: Path, remote: Path, tmp_path: Path
) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    words = (*TAUGHT, "publish=pages", f"publish.remote={remote}")
    # The limits of static are those that the build in the store was made with.
    done = run_build(*words, "host=static", cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    assert done.stderr.startswith("publish error: publish: ")
    assert check_lock(tmp_path / "outputs" / "medical-tiny-q4f32_1") > 0


def test_verb_publishes_a_finished_build(output: Path, tmp_path: Path) -> None:
    done = run_build("publish", str(output), "publish=release", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "carry no CORS" in done.stdout
    assert (tmp_path / "releases" / "medical-tiny-q4f32_1.tar.gz").is_file()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "which build?"),
        (["FOLDER"], 2, "nowhere to go"),
        (["FOLDER", "publish=pages"], 2, "publish.remote: pages needs a repository"),
        (["FOLDER", "publish=folder", "quant=q0f32"], 2, "builds, it does not publish"),
        (["FOLDER", "publish=cloud"], 2, "no option 'cloud'"),
        (["nothing", "publish=folder"], 2, "no webslm.lock.json"),
    ],
)
def test_verbs_mistakes_are_sentences(
    output: Path, tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    words = [str(output) if word == "FOLDER" else word for word in words]
    done = run_build("publish", *words, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert told in done.stderr
