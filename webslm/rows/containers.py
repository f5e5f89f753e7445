"""Own what a data file is, by its first bytes: packed ones are unpacked, others named."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shlex
import zlib
from collections.abc import Callable
from pathlib import Path

from webslm.basics.encoding import printable
from webslm.basics.errors import ConfigError

PACKED: tuple[tuple[str, bytes, Callable[[bytes], bytes]], ...] = (
    (".gz", b"\x1f\x8b", gzip.decompress),
    (".bz2", b"BZh", bz2.decompress),
    (".xz", b"\xfd7zXZ\0", lzma.decompress),
)
"""(Suffix, first bytes, what unpacks it)."""
PARQUET = b"PAR1"
_OFFICE = "save its sheet as CSV (UTF-8)"
_PAGE = "the download brought a page instead of the data: fetch the file itself"
OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "zstd -d {}"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x {}"),
    (b"Rar!", "a rar archive", "unrar x {}"),
    (b"\xd0\xcf\x11\xe0", "an old Office file", _OFFICE),
    (b"SQLite format 3\0", "an SQLite database", "export its table as CSV or JSON lines"),
    (b"ARROW1", "an Arrow file", "write it as Parquet"),
    (b"\xff\xff\xff\xff", "an Arrow stream", "write it as Parquet"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "write it as Parquet"),
    (b"\x80\x04\x95", "a Python pickle, which is never opened", "write it as JSON lines"),
    (b"%PDF", "a PDF", "its rows must stand in a data file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "git lfs pull"),
)
"""(First bytes, what it is, what to do with the file's name put in)."""


def load(path: Path) -> tuple[str, bytes]:
    """Return (suffix in lower case, bytes) of a data file; what packs it is taken off.

    Raises:
        ConfigError: It is no data file, or a broken one; says what it is.
        OSError: It cannot be read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    raw = path.read_bytes()
    for suffix, mark, unpack in PACKED:
        if raw.startswith(mark):
            raw = _unpacked(path, raw, suffix, unpack)
            suffixes = suffixes[:-1] if suffixes[-1:] == [suffix] else suffixes
            break
    _refuse(path, raw)
    if raw.startswith(PARQUET):
        return ".parquet", raw
    return (suffixes or [""])[-1], raw


def is_packed(name: str) -> bool:
    """Return whether a name ends as packed and office files do."""
    return name.lower().endswith(
        (*(suffix for suffix, _, _ in PACKED), ".zst", ".zip", ".7z", ".rar", ".xlsx", ".xls")
    )


def _unpacked(path: Path, raw: bytes, suffix: str, unpack: Callable[[bytes], bytes]) -> bytes:
    try:
        return unpack(raw)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as exc:
        tool = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}[suffix]
        raise ConfigError(
            f"{printable(path.name)}: a broken {tool} file: {printable(exc)}",
            hint=f"fetch it again; {tool} -t {shlex.quote(printable(path.name))} says where",
        ) from exc


def _refuse(path: Path, raw: bytes) -> None:
    name = printable(path.name)
    found = next(((what, do) for mark, what, do in OTHERS if raw.startswith(mark)), None)
    start = raw[:512].lstrip().lower()
    if raw.startswith(b"PK\x03\x04"):
        found = _archive(raw)
    elif raw[257:262] == b"ustar":
        found = ("a tar archive", "tar -xf {}")
    elif start.startswith((b"<!doctype html", b"<html")):
        found = ("a web page, not data", _PAGE)
    if found is not None:
        what, todo = found
        raise ConfigError(f"{name}: {what}", hint=todo.format(shlex.quote(name)))


def _archive(raw: bytes) -> tuple[str, str]:
    for part, what in ((b"xl/", "an Excel workbook"), (b"word/", "a Word document")):
        if part in raw:
            return what, _OFFICE if part == b"xl/" else "its rows must stand in a data file"
    if b"opendocument.spreadsheet" in raw[:200]:
        return "an OpenDocument spreadsheet", _OFFICE
    return "a zip archive", "unzip {}"
