"""npm's registry without npm: found as npm finds it, asked again where it fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import Loopback, Reply, loopback
from tests.unit.bundle.test_npm import MODULE, whole, write_archive
from webslm.basics.errors import EnvironmentMismatch
from webslm.bundle import npm, registry

PATH = "/@mlc-ai/web-llm/-/web-llm-9.9.9.tgz"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user and a folder with no settings of npm; returns the user's file."""
    for name in [name for name in os.environ if name.lower().startswith(registry.PREFIX)]:
        monkeypatch.delenv(name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(registry, "PAUSE_S", 0.0)
    return tmp_path / ".npmrc"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


@pytest.fixture
def integrity(server: Loopback, tmp_path: Path) -> str:
    """Offer an archive; return its integrity string."""
    text = write_archive(tmp_path / "a.tgz", whole())
    server.replies[PATH] = [Reply(body=(tmp_path / "a.tgz").read_bytes())]
    return text


def test_package_comes_from_the_registry_of_the_environment_without_npm(
    server: Loopback, integrity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{server.url}/")
    module = npm.fetch_web_llm(tmp_path / "cache", "9.9.9", integrity)
    assert module.read_bytes() == MODULE
    assert [(method, path) for method, path, _ in server.asked] == [("GET", PATH)]


def test_changed_archive_of_the_registry_is_refused_and_not_stored(
    server: Loopback, integrity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", server.url)
    server.replies[PATH] = [Reply(body=b"something else")]
    with pytest.raises(EnvironmentMismatch, match="not the pinned one"):
        npm.fetch_web_llm(tmp_path / "cache", "9.9.9", integrity)
    assert list((tmp_path / "cache" / "tools" / "npm").iterdir()) == []


def test_settings_are_read_as_npm_reads_them(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, public = "http://own.invalid", ".".join(registry.PUBLIC)

    def where(name: str) -> str:
        return registry.archive_url(name, "1.0.0", registry.read_settings())

    assert where("marked") == f"{public}/marked/-/marked-1.0.0.tgz"
    settings.write_text(
        "; a comment = 1\n# another = 2\nregistry = null\n"
        f'@mlc-ai:registry="{own}/scoped/"\nproxy=false\n'
    )
    assert where("marked") == f"{public}/marked/-/marked-1.0.0.tgz"
    assert where("@mlc-ai/web-llm") == f"{own}/scoped/@mlc-ai/web-llm/-/web-llm-1.0.0.tgz"
    monkeypatch.setenv("PLACE", "there")
    Path(".npmrc").write_text(f"registry={own}/${{PLACE}}\n")
    assert where("marked") == f"{own}/there/marked/-/marked-1.0.0.tgz"
    other = tmp_path / "other"
    other.write_text("@mlc-ai:registry=http://other.invalid\n")
    monkeypatch.setenv("npm_config_userconfig", str(other))
    monkeypatch.setenv("npm_config_registry", "http://nearest.invalid")
    assert where("marked") == "http://nearest.invalid/marked/-/marked-1.0.0.tgz"
    assert where("@mlc-ai/x") == "http://other.invalid/@mlc-ai/x/-/x-1.0.0.tgz"


def test_registry_that_fails_is_asked_again(
    server: Loopback, integrity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", server.url)
    server.replies[PATH][:0] = [Reply(status=503), Reply(status=None)]
    assert npm.fetch_web_llm(tmp_path / "cache", "9.9.9", integrity).is_file()
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("reply", "reason", "times"),
    [(Reply(status=404), "status 404", 1), (Reply(status=500), "status 500", 3)],
)
def test_refusal_is_told_with_what_to_do(
    server: Loopback,
    reply: Reply,
    reason: str,
    times: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("npm_config_registry", server.url)
    server.replies[PATH] = [reply]
    with pytest.raises(EnvironmentMismatch) as caught:
        npm.fetch_web_llm(tmp_path / "cache", "9.9.9", "sha512-")
    assert caught.value.message == f"npm: @mlc-ai/web-llm@9.9.9 cannot be fetched: {reason}"
    assert "mlc-ai-web-llm-9.9.9.tgz" in (caught.value.hint or "")
    assert "check the network" in (caught.value.hint or "")
    assert len(server.asked) == times


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("registry", "http://127.0.0.1:9", "refused"),
        ("registry", "ftp://127.0.0.1", "ftp"),
        ("registry", "http://[", "URL"),
        ("cafile", "/no/such/file", "cafile"),
        ("proxy", "nothing", "proxy"),
    ],
)
def test_settings_that_cannot_be_used_are_told_in_one_line(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"npm_config_{name}", value)
    with pytest.raises(registry.NotFetched, match=f"(?i){reason}") as caught:
        registry.check("marked", "1.0.0")
    assert "\n" not in str(caught.value)


def test_token_goes_to_its_registry_alone(
    server: Loopback, integrity: str, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = server.url.partition(":")[2]
    monkeypatch.setenv("npm_config_registry", server.url)
    settings.write_text(f"{host}/:_authToken=secret\n//elsewhere.invalid/:_authToken=other\n")
    with loopback() as storage:
        storage.replies["/file"] = [Reply()]
        server.replies[PATH] = [Reply(status=302, headers={"Location": f"{storage.url}/file"})]
        registry.check("@mlc-ai/web-llm", "9.9.9")
        assert [headers.get("authorization") for _, _, headers in server.asked] == ["Bearer secret"]
        assert [headers.get("authorization") for _, _, headers in storage.asked] == [None]


def test_full_disk_is_not_the_registrys_fault(
    server: Loopback, integrity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", server.url)
    with pytest.raises(FileNotFoundError):
        registry.download("@mlc-ai/web-llm", "9.9.9", tmp_path / "no folder" / "file")
