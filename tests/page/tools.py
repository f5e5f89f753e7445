"""Tools of the page's modules: types, lint, tests. ``python -m tests.page.tools types|lint``.

TypeScript reads JSDoc (jsconfig.json), biome lints (biome.json), node runs ``tests/page/*.js``.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests import npm_packages
from webslm.basics.paths import PACKAGE, cache_dir
from webslm.bundle import npm

ROOT = PACKAGE.parent
TYPES = ROOT / ".cache" / "page-types"
"""Types of the packages in the page's ``vendor/``; jsconfig.json looks there."""
LINTED = ("webslm/site", "webslm/proof/page", "tests/page")


def prepare_types(folder: Path = TYPES) -> Path:
    """Put each vendored package's own types where its module will stand in a site."""
    vendor = folder / "vendor"
    web_llm = npm.fetch(cache_dir(), npm_packages.WEB_LLM_TYPES).parent
    for source in web_llm.rglob("*.d.ts"):
        _copy(source, vendor / "web-llm" / source.relative_to(web_llm))
    jinja = npm.fetch(cache_dir(), npm_packages.JINJA_TYPES).parent
    for source in jinja.glob("*.d.ts"):
        _copy(source, vendor / "jinja" / source.name)
    for name in ("web-llm", "jinja"):
        text = f'export * from "./{name}/index";\n'
        (vendor / f"{name}.d.ts").write_text(text, encoding="utf-8")
    marked = npm.fetch(cache_dir(), npm_packages.MARKED_TYPES)
    _copy(marked.with_name("marked.d.ts"), vendor / "marked.d.ts")
    _copy(npm.fetch(cache_dir(), npm_packages.WEBGPU_TYPES), vendor / "webgpu.d.ts")
    return folder


def tsc(config: Path, *words: str) -> list[str]:
    """Check what a jsconfig.json includes; return the lines that TypeScript prints."""
    module = npm.fetch(cache_dir(), npm_packages.TYPESCRIPT)
    return _output("node", str(module), "-p", str(config), "--pretty", "false", *words)


def biome(*words: str) -> list[str]:
    """Run biome in the checkout; return the lines that it prints."""
    package = npm_packages.BIOME[platform.system().lower(), platform.machine().lower()]
    program = npm.fetch(cache_dir(), package).with_name("biome")
    program.chmod(0o755)
    return _output(str(program), *words)


def types() -> list[str]:
    """Return what is wrong with the types of the page's modules."""
    prepare_types()
    return tsc(ROOT / "jsconfig.json")


def lint() -> list[str]:
    """Return what biome finds in the page's modules and their tests."""
    lines = biome("lint", "--error-on-warnings", "--colors=off", *LINTED)
    return [line for line in lines if line.strip() and not line.startswith("Checked ")]


def node_tests(folder: Path) -> list[str]:
    """Run ``tests/page/*.test.js`` under node in a copy with the real vendored modules.

    Args:
        folder: Where the copy goes; empty.

    Returns:
        What node prints where a test fails.
    """
    for part in ("webslm/site", "webslm/proof/page", "tests/page"):
        for source in sorted((ROOT / part).rglob("*.js")):
            _copy(source, folder / source.relative_to(ROOT))
    vendor = folder / "webslm" / "site" / "vendor"
    for name, package in {"marked": npm.MARKED, "jinja": npm.JINJA}.items():
        _copy(npm.fetch(cache_dir(), package), vendor / f"{name}.js")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    files = sorted(path.name for path in (folder / "tests" / "page").glob("*.test.js"))
    command = ("node", "--test", *(f"tests/page/{name}" for name in files))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _output(*words: str) -> list[str]:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()


if __name__ == "__main__":
    told = {"types": types, "lint": lint}[sys.argv[1]]()
    sys.stdout.writelines(f"{line}\n" for line in told)
    sys.exit(bool(told))
