"""Own the WGSL texts inside a linked library, read from its file as the page's runtime reads them.

TVM's runtime finds every part of a model that is no host code in one stretch of the library's data:
per part its kind, the number of its bytes (u64, little-endian) and the bytes. A part of the kind
``webgpu`` is a table of signatures and, to its very end, a table of texts: their number, then name
and text of each, every string led by its number of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from webslm.basics.errors import StageFailed
from webslm.compiler.wasm.binary import read_sections

_WORD = 8


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD, "little")


_KIND = _word(len("webgpu")) + b"webgpu"


def library_shaders(path: Path) -> dict[str, str]:
    """Return the WGSL text of every kernel of a library, by name.

    Raises:
        StageFailed: The file is no WebAssembly module, or holds no shaders that can be read.
    """
    parts = [part for segment in read_sections(path).segments for part in _parts(segment.data)]
    tables = [_texts(part) for part in parts]
    if not tables or any(table is None for table in tables):
        raise StageFailed(
            "compile: the shaders inside the library cannot be read",
            hint="name a library that a TVM of this web-llm's time compiled for WebGPU",
        )
    return {name: text for table in tables if table is not None for name, text in table.items()}


def _parts(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of every part of kind ``webgpu``; of one that is cut short, what is there."""
    at = data.find(_KIND)
    while at >= 0:
        start = at + len(_KIND) + _WORD
        end = start + int.from_bytes(data[start - _WORD : start], "little")
        yield data[start:end]
        at = data.find(_KIND, max(start, min(end, len(data))))


def _texts(part: bytes) -> dict[str, str] | None:
    """Return the table of texts that ends a part; None where no place in it begins one.

    The table of signatures in front has as many rows. What a row holds differs between versions of
    TVM, so it is not read: the table of texts is the one whose last row ends with the part.
    """
    count = int.from_bytes(part[:_WORD], "little")
    at = part.find(part[:_WORD], _WORD)
    while at >= 0:
        found = _table(part, at + _WORD, count)
        if found is not None:
            return found
        at = part.find(part[:_WORD], at + 1)
    return None


def _table(part: bytes, at: int, count: int) -> dict[str, str] | None:
    found: dict[str, str] = {}
    # A row takes two words at the least: a wild number ends here, not after a long loop.
    if count < 1 or count * 2 * _WORD > len(part):
        return None
    for _ in range(count):
        row = []
        for _string in range(2):
            start = at + _WORD
            at = start + int.from_bytes(part[start - _WORD : start], "little")
            if at > len(part):
                return None
            row.append(part[start:at])
        try:
            name, text = (one.decode("utf-8") for one in row)
        except UnicodeDecodeError:
            return None
        found[name] = text
    return found if at == len(part) and len(found) == count else None
