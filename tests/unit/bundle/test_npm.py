"""The pinned archive: refused when changed, unpacked by name only, fetched once."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from webslm.basics.errors import EnvironmentMismatch, StageFailed
from webslm.bundle import npm

MODULE = b"export const answer = 42;\n"


def write_archive(path: Path, members: dict[str, bytes], link: str | None = None) -> str:
    """Write an npm-like archive; return its integrity string."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo(link)
            info.type = tarfile.SYMTYPE
            info.linkname = "/etc/passwd"
            tar.addfile(info)
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def whole(module: bytes = MODULE) -> dict[str, bytes]:
    return {
        "package/lib/index.js": module,
        "package/LICENSE": b"licence",
        "package/package.json": b"{}",
        "package/../../escape.txt": b"no",
        "/absolute.txt": b"no",
    }


def put(cache: Path, members: dict[str, bytes], link: str | None = None) -> str:
    """Put an archive where a user without network would."""
    root = cache / "tools" / "npm"
    root.mkdir(parents=True)
    return write_archive(root / "mlc-ai-web-llm-9.9.9.tgz", members, link)


def test_fetch_unpacks_only_the_wanted_files(tmp_path: Path) -> None:
    integrity = put(tmp_path, whole())
    module = npm.fetch_web_llm(tmp_path, "9.9.9", integrity)
    assert module.read_bytes() == MODULE
    assert (module.parent.parent / "LICENSE").read_bytes() == b"licence"
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"index.js", "LICENSE", "package.json", "mlc-ai-web-llm-9.9.9.tgz"}
    assert not (tmp_path.parent / "escape.txt").exists()


def test_fetch_unpacks_what_a_pattern_names_and_nothing_outside(tmp_path: Path) -> None:
    types = {
        "package/lib/a.d.ts": b"a",
        "package/lib/deep/b.d.ts": b"b",
        "package/lib/../../../c.d.ts": b"c",
    }
    integrity = put(tmp_path, whole() | types)
    package = replace(npm.WEB_LLM, version="9.9.9", integrity=integrity)
    plain = npm.fetch(tmp_path, package)
    more = npm.fetch(tmp_path, replace(package, also=("lib/*.d.ts",)))
    assert plain != more
    found = {path.relative_to(more.parent).as_posix() for path in more.parent.rglob("*.d.ts")}
    assert found == {"a.d.ts", "deep/b.d.ts"}
    assert not list(plain.parent.rglob("*.d.ts"))
    assert not list(tmp_path.parent.glob("**/c.d.ts"))


def test_fetch_twice_needs_neither_registry_nor_archive(tmp_path: Path) -> None:
    integrity = put(tmp_path, whole())
    first = npm.fetch_web_llm(tmp_path, "9.9.9", integrity)
    (tmp_path / "tools" / "npm" / "mlc-ai-web-llm-9.9.9.tgz").unlink()
    assert npm.fetch_web_llm(tmp_path, "9.9.9", integrity) == first


def test_fetch_refuses_a_changed_archive_and_leaves_nothing(tmp_path: Path) -> None:
    integrity = put(tmp_path, whole())
    archive = tmp_path / "tools" / "npm" / "mlc-ai-web-llm-9.9.9.tgz"
    write_archive(archive, whole(b"export const answer = 43;\n"))
    with pytest.raises(EnvironmentMismatch, match="not the pinned one"):
        npm.fetch_web_llm(tmp_path, "9.9.9", integrity)
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


@pytest.mark.parametrize(
    "module",
    [
        b'import log from "loglevel";\n',
        b"import{a}from'b';\n",
        b'export * from "other";\n',
        b'export { a } from "other";\n',
        b'import "effects";\n',
    ],
)
def test_fetch_refuses_a_module_with_imports(tmp_path: Path, module: bytes) -> None:
    integrity = put(tmp_path, whole(module))
    with pytest.raises(StageFailed, match="which a page cannot load"):
        npm.fetch_web_llm(tmp_path, "9.9.9", integrity)


def test_fetch_lets_imports_in_comments_pass(tmp_path: Path) -> None:
    integrity = put(tmp_path, whole(b'/*\n * import { a } from "b";\n */\nexport { a };\n'))
    assert npm.fetch_web_llm(tmp_path, "9.9.9", integrity).is_file()


@pytest.mark.parametrize("missing", ["package/lib/index.js", "package/LICENSE"])
def test_fetch_refuses_an_incomplete_archive(tmp_path: Path, missing: str) -> None:
    members = {name: content for name, content in whole().items() if name != missing}
    integrity = put(tmp_path, members)
    with pytest.raises(StageFailed, match="not a @mlc-ai/web-llm archive"):
        npm.fetch_web_llm(tmp_path, "9.9.9", integrity)


def test_fetch_refuses_a_link_in_place_of_a_file(tmp_path: Path) -> None:
    members = {name: content for name, content in whole().items() if "LICENSE" not in name}
    integrity = put(tmp_path, members, link="package/LICENSE")
    with pytest.raises(StageFailed, match="not a plain file"):
        npm.fetch_web_llm(tmp_path, "9.9.9", integrity)
