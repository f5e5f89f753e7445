"""Own reading WebAssembly files: the sections that the ABI check needs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from webslm.basics.errors import StageFailed

_MAGIC = b"\0asm\x01\0\0\0"
_IMPORTS, _EXPORTS, _DATA = 2, 7, 11
_KINDS = ("function", "table", "memory", "global", "tag")
_I32_CONST, _I64_CONST, _GLOBAL_GET, _END = 0x41, 0x42, 0x23, 0x0B


@dataclass(frozen=True)
class Import:
    """One thing a module asks its host for."""

    module: str
    name: str
    kind: str


@dataclass(frozen=True)
class Segment:
    """One stretch of initial memory; ``address`` is None when it is not a constant."""

    address: int | None
    data: bytes


@dataclass(frozen=True)
class Sections:
    """What a module asks for, offers and starts with."""

    imports: tuple[Import, ...]
    exports: tuple[str, ...]
    segments: tuple[Segment, ...]


class _Reader:
    """A cursor over bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise IndexError("section ends early")
        self.at += size
        return self.data[self.at - size : self.at]

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def signed(self) -> int:
        start = self.at
        value = self.unsigned()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def text(self) -> str:
        return self.take(self.unsigned()).decode("utf-8")


def read_sections(path: Path) -> Sections:
    """Read a module or an object file.

    Raises:
        StageFailed: The file is not a WebAssembly module or ends early.
    """
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        raise StageFailed(f"{path.name}: not a WebAssembly module")
    try:
        sections = dict(_split(data))
        return Sections(
            tuple(_imports(_Reader(sections.get(_IMPORTS, b"\0")))),
            tuple(_exports(_Reader(sections.get(_EXPORTS, b"\0")))),
            tuple(_segments(_Reader(sections.get(_DATA, b"\0")))),
        )
    except (IndexError, ValueError) as exc:
        raise StageFailed(f"{path.name}: damaged WebAssembly module: {exc}") from exc


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    reader = _Reader(data)
    reader.at = len(_MAGIC)
    while reader.at < len(data):
        kind = reader.byte()
        yield kind, reader.take(reader.unsigned())


def _imports(reader: _Reader) -> Iterator[Import]:
    for _ in range(reader.unsigned()):
        module, name, kind = reader.text(), reader.text(), reader.byte()
        if kind == 0:
            reader.unsigned()
        elif kind in (1, 2):
            if kind == 1:
                reader.byte()
            has_maximum = reader.byte() & 1
            for _limit in range(1 + has_maximum):
                reader.unsigned()
        elif kind in (3, 4):
            reader.take(2)
        yield Import(module, name, _KINDS[kind])


def _exports(reader: _Reader) -> Iterator[str]:
    for _ in range(reader.unsigned()):
        yield reader.text()
        reader.byte()
        reader.unsigned()


def _segments(reader: _Reader) -> Iterator[Segment]:
    for _ in range(reader.unsigned()):
        flags = reader.unsigned()
        if flags == 2:
            reader.unsigned()
        address = None if flags == 1 else _constant(reader)
        yield Segment(address, reader.take(reader.unsigned()))


def _constant(reader: _Reader) -> int | None:
    """Read an offset expression; anything but a plain constant counts as unknown."""
    code = reader.byte()
    if code in (_I32_CONST, _I64_CONST):
        value: int | None = reader.signed()
    elif code == _GLOBAL_GET:
        reader.unsigned()
        value = None
    else:
        raise ValueError(f"unknown offset expression 0x{code:02x}")
    if reader.byte() != _END:
        raise ValueError("an offset expression has more than one instruction")
    if value is None:
        return None
    # Addresses are unsigned, the constant is not.
    return value & 0xFFFFFFFF
