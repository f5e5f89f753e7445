"""Own fetching web-llm from npm and checking it; know nothing of bundles.

The published package is one ES module without imports, so the page can load it as it is. Only
the named files are read from the archive, so no member can land outside the target folder.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tarfile
from pathlib import Path

from webslm import fs, proc
from webslm.errors import EnvironmentMismatch, StageFailed, ToolFailed

PACKAGE = "@mlc-ai/web-llm"
MODULE = "lib/index.js"
WANTED = (MODULE, "LICENSE", "package.json")
TIMEOUT_S = 300.0
_IMPORT = re.compile(
    rb"""^\s*(?:import\b[^;\n]*?|export\b[^;\n]*?\bfrom\s*)["']([^"'\n]+)["']""", re.MULTILINE
)


def fetch_web_llm(cache_dir: Path, version: str, integrity: str) -> Path:
    """Return web-llm's ES module in the cache; the licence lies at ``../LICENSE`` from it.

    Args:
        cache_dir: Root of the cache; the package is kept below ``tools/npm``.
        version: Exact npm version.
        integrity: npm's integrity string of the archive, ``sha512-<base64>``.

    Raises:
        EnvironmentMismatch: npm is absent or offline, or the archive is not the pinned one.
        StageFailed: The archive lacks a file, or its module needs other packages.
    """
    root = cache_dir / "tools" / "npm"
    pin = hashlib.sha256(integrity.encode()).hexdigest()[:12]
    folder = root / f"web-llm-{version}-{pin}"
    if (folder / MODULE).is_file():
        return folder / MODULE
    root.mkdir(parents=True, exist_ok=True)
    with fs.temporary_dir(root, "fetch") as work:
        archive = _archive(root, work, version)
        check_integrity(archive, integrity)
        unpacked = work / "unpacked"
        unpack(archive, unpacked)
        check_standalone(unpacked / MODULE)
        try:
            unpacked.rename(folder)
        except OSError:
            # Another process was first; its folder passed the same checks.
            if not (folder / MODULE).is_file():
                raise
    return folder / MODULE


def check_integrity(archive: Path, integrity: str) -> None:
    """Compare an archive's sha512 with npm's integrity string.

    Raises:
        EnvironmentMismatch: The digests differ, or the string is not a sha512 one.
    """
    seen = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if seen != integrity:
        raise EnvironmentMismatch(
            f"runtime.web_llm_integrity: the archive of {PACKAGE} is not the pinned one "
            f"(expected {integrity!r}, got {seen!r})",
            hint="do not use it: check the pin in conf/runtime and the npm registry in use",
        )


def unpack(archive: Path, target: Path) -> None:
    """Write the wanted files of an npm archive below ``target``.

    Raises:
        StageFailed: The archive is unreadable, or a wanted member is absent or not a file.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for name in WANTED:
                member = tar.getmember(f"package/{name}")
                source = tar.extractfile(member) if member.isfile() else None
                if source is None:
                    raise StageFailed(f"{archive.name}: {name!r} is not a plain file")
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (KeyError, tarfile.TarError) as exc:
        raise StageFailed(f"{archive.name}: not a {PACKAGE} archive: {exc}") from exc


def check_standalone(module: Path) -> None:
    """Refuse a module that imports others: the page has no bundler to resolve them.

    Raises:
        StageFailed: The module has a static import or re-export.
    """
    names = sorted({match.decode() for match in _IMPORT.findall(module.read_bytes())})
    if names:
        raise StageFailed(
            f"{PACKAGE}: its module imports {', '.join(names)}, which a page cannot load",
            hint="choose a runtime row whose web-llm is a single module: runtime=web_llm_0_2_85",
        )


def _archive(root: Path, work: Path, version: str) -> Path:
    """Return the package archive: one put into ``root`` by hand, else npm's."""
    name = f"{PACKAGE.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if (root / name).is_file():
        return root / name
    by_hand = f"or put {name} into {root}"
    npm = shutil.which("npm")
    if npm is None:
        raise EnvironmentMismatch(
            f"npm not found: needed once to fetch {PACKAGE}@{version}",
            hint=f"install Node.js 18 or newer, which brings npm, {by_hand}",
        )
    command = [npm, "pack", f"{PACKAGE}@{version}", "--ignore-scripts"]
    try:
        proc.run(command, cwd=work, timeout=TIMEOUT_S)
    except ToolFailed as exc:
        raise EnvironmentMismatch(
            f"npm could not fetch {PACKAGE}@{version}: {exc.message}",
            hint=f"check the network and try again, {by_hand}",
        ) from exc
    found = sorted(work.glob("*.tgz"))
    if len(found) != 1:
        raise StageFailed(f"npm pack left {len(found)} archives instead of one")
    return found[0]
