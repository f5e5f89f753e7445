"""The page's modules as TypeScript reads them: their JSDoc is checked like a typed language."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import npm_packages
from webslm.basics import paths
from webslm.basics.fs import copy_tree
from webslm.basics.paths import cache_dir
from webslm.bundle import npm

FLAGS = (
    *("--noEmit", "--allowJs", "--checkJs", "--pretty", "false", "--target", "es2023"),
    *("--module", "esnext", "--moduleResolution", "bundler", "--skipLibCheck"),
    *("--lib", "es2023,dom,dom.iterable,dom.asynciterable"),
)
PUBLIC = ("webslm.js", "worker.js")
STARTS = ("app.js", "offline.js", *(f"modes/{mode}.js" for mode in (
    "about", "chat", "product", "proof", "structured",
)))  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's sources with the vendored packages, each beside its own types."""
    site = tmp_path_factory.mktemp("types") / "site"
    copy_tree(paths.site_dir(), site)
    vendor = site / "vendor"
    web_llm = npm.fetch(cache_dir(), npm_packages.WEB_LLM_TYPES).parent
    for types in web_llm.rglob("*.d.ts"):
        target = vendor / "web-llm" / types.relative_to(web_llm)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(types, target)
    (vendor / "web-llm.d.ts").write_text('export * from "./web-llm/index";\n')
    marked = npm.fetch(cache_dir(), npm_packages.MARKED_TYPES)
    shutil.copyfile(marked.with_name("marked.d.ts"), vendor / "marked.d.ts")
    jinja = npm.fetch(cache_dir(), npm_packages.JINJA_TYPES).parent
    for types in jinja.glob("*.d.ts"):
        (vendor / "jinja").mkdir(exist_ok=True)
        shutil.copyfile(types, vendor / "jinja" / types.name)
    (vendor / "jinja.d.ts").write_text('export * from "./jinja/index";\n')
    shutil.copyfile(npm.fetch(cache_dir(), npm_packages.WEBGPU_TYPES), vendor / "webgpu.d.ts")
    return site


def tsc(site: Path, *words: str) -> list[str]:
    """Run TypeScript's compiler over modules and all that they import; return what it prints."""
    node = shutil.which("node")
    assert node is not None
    command = [node, str(npm.fetch(cache_dir(), npm_packages.TYPESCRIPT)), *FLAGS]
    done = subprocess.run(
        [*command, "vendor/webgpu.d.ts", *words],
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).splitlines()


def test_what_other_pages_import_is_typed_strictly(site: Path) -> None:
    assert tsc(site, "--strict", *PUBLIC) == []


def test_every_other_module_is_checked(site: Path) -> None:
    assert tsc(site, *STARTS) == []
    root = f"{site.resolve().as_posix()}/"
    read = {line.removeprefix(root) for line in tsc(site, "--listFilesOnly", *PUBLIC, *STARTS)}
    own = {path.relative_to(site).as_posix() for path in site.rglob("*.js")}
    # The service worker's text starts with a line that the build writes.
    assert own - read == {"sw.js"}


def test_wrong_uses_are_found(site: Path) -> None:
    """The declarations say something: a page that uses the module wrongly is told."""
    uses = {
        'import { Assistant } from "./webslm.js";': None,
        "const assistant = await Assistant.open();": None,
        'assistant.chat([{ role: "nobody", content: "x" }]);': '"nobody"',
        'const { txt } = await assistant.complete("x");': "'txt' does not exist",
        "await assistant.load({ share: 1 });": "'share' does not exist",
        'assistant.embed("x");': "'embed' does not exist",
    }
    (site / "use.js").write_text("\n".join((*uses, "export {};\n")))
    found = [line for line in tsc(site, "--strict", "use.js") if line[0] != " "]
    (site / "use.js").unlink()
    wrong = [(number, words) for number, words in enumerate(uses.values(), 1) if words]
    assert len(found) == len(wrong)
    for line, (number, words) in zip(found, wrong, strict=True):
        assert line.startswith(f"use.js({number},")
        assert words in line
