"""Own reading of a GGUF file's header: metadata and the table of tensors. Read no weights.

The header is checked whole before any work: magic, version, every length against the file's size,
every tensor against the end of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

from webslm.basics.errors import ConfigError
from webslm.model.gguf.types import STORAGE, UNREADABLE, Storage

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
MAX_DIMENSIONS = 4
MAX_TENSORS = 1 << 17
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
NUMBERS[12] = "d"
STRING, ARRAY = 8, 9
CONVERT_AGAIN = "convert the model again with a current llama.cpp"
FETCH_AGAIN = "fetch the file again; compare its size and sha256 with the publisher's"
OTHERS = {
    b"ggml": ("an older format than GGUF", CONVERT_AGAIN),
    b"ggjt": ("an older format than GGUF", CONVERT_AGAIN),
    b"lmgg": ("an older format than GGUF", CONVERT_AGAIN),
    b"tjgg": ("an older format than GGUF", CONVERT_AGAIN),
    b"vers": ("a Git LFS pointer, not the file itself", "run 'git lfs pull' in its repository"),
    b"<!do": ("a web page", "fetch the file itself, not the page that shows it"),
    b"<htm": ("a web page", "fetch the file itself, not the page that shows it"),
    b"pk\x03\x04": ("a zip archive", "base.path=ARCHIVE.whl, or unpack it"),
}
"""What else begins like this, by its first four bytes in lower case."""


class Bytes(Protocol):
    """What a header is read from: bytes or a mapped file."""

    def __getitem__(self, part: slice, /) -> bytes: ...

    def __len__(self) -> int: ...


class MoreNeeded(Exception):
    """The buffer ends before the header, the file does not."""


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """Where a tensor lies."""

    name: str
    shape: tuple[int, ...]
    """Rows first, as a checkpoint has it; the file counts the other way round."""
    storage: Storage
    offset: int
    """First byte in the file."""

    @property
    def nbytes(self) -> int:
        """Return how many bytes the tensor takes."""
        return prod(self.shape) // self.storage.elements * self.storage.nbytes


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a GGUF file says of itself."""

    name: str
    """The file, as sentences call it."""
    metadata: Mapping[str, Any]
    """Key to number, text, or list of either."""
    tensors: Mapping[str, TensorInfo]

    @property
    def architecture(self) -> str:
        """Return ``general.architecture``."""
        return str(self.metadata.get("general.architecture", ""))


def _alignment(metadata: Mapping[str, Any], cursor: _Cursor) -> int:
    """Return the bytes whose multiple every tensor begins at."""
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise cursor.damaged(f"general.alignment {alignment!r}")
    return alignment


def parse(buffer: Bytes, size: int, name: str) -> Header:
    """Read the header that a file begins with.

    Args:
        buffer: The file or its beginning.
        size: Bytes of the whole file.
        name: What sentences call the file.

    Raises:
        MoreNeeded: ``buffer`` is a beginning and too short.
        ConfigError: The file is no GGUF, of another version or byte order, damaged or cut.
    """
    _check_magic(buffer[0:16], name)
    cursor = _Cursor(buffer, size, name, 4)
    version, tensor_count, pair_count = cursor.unpack("<IQQ")
    _check_version(version, name)
    if max(tensor_count, pair_count) > MAX_TENSORS:
        raise cursor.damaged(f"{tensor_count} tensors and {pair_count} metadata keys")
    metadata: dict[str, Any] = {}
    for _ in range(pair_count):
        key = cursor.text()
        (kind,) = cursor.unpack("<I")
        metadata[key] = cursor.value(kind, key)
    table = [cursor.tensor() for _ in range(tensor_count)]
    alignment = _alignment(metadata, cursor)
    start = -(-cursor.position // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    for tensor, shape, kind, offset in table:
        if tensor in tensors:
            raise cursor.damaged(f"two tensors {tensor}")
        storage = _storage(tensor, shape, kind, name)
        info = TensorInfo(name=tensor, shape=shape, storage=storage, offset=start + offset)
        if info.offset + info.nbytes > size:
            raise ConfigError(
                f"{name}: ends after {size} bytes, tensor {tensor} at byte "
                f"{info.offset + info.nbytes}: the file is cut off",
                hint=FETCH_AGAIN,
            )
        tensors[tensor] = info
    return Header(name=name, metadata=metadata, tensors=tensors)


def _check_magic(start: bytes, name: str) -> None:
    if start[:4] == MAGIC:
        return
    what, hint = OTHERS.get(start[:4].lower(), ("no GGUF file", "base.path=FILE.gguf"))
    if not start:
        what = "empty"
    raise ConfigError(f"{name}: {what}", hint=hint)


def _check_version(version: int, name: str) -> None:
    if version in VERSIONS:
        return
    if not version & 0xFFFF:
        raise ConfigError(
            f"{name}: written for big-endian machines",
            hint="take the ordinary (little-endian) file of the model",
        )
    raise ConfigError(
        f"{name}: GGUF version {version}; known: {', '.join(map(str, VERSIONS))}",
        hint=CONVERT_AGAIN,
    )


def _storage(tensor: str, shape: tuple[int, ...], kind: int, name: str) -> Storage:
    storage = STORAGE.get(kind)
    if storage is None:
        called = UNREADABLE.get(kind, f"number {kind}")
        raise ConfigError(
            f"{name}: tensor {tensor} is stored as {called}, which nothing here unpacks",
            hint="take another file of the model: Q8_0, Q6_K, Q4_K_M and the like",
        )
    if not shape or shape[-1] % storage.elements:
        raise ConfigError(
            f"{name}: tensor {tensor} {list(shape)} is not whole blocks of {storage.name}",
            hint=FETCH_AGAIN,
        )
    return storage


class _Cursor:
    """A position in the header; every read is checked against the file's size."""

    def __init__(self, buffer: Bytes, size: int, name: str, position: int) -> None:
        self.buffer = buffer
        self.size = size
        self.name = name
        self.position = position

    def damaged(self, what: str) -> ConfigError:
        return ConfigError(f"{self.name}: the header is damaged: {what}", hint=FETCH_AGAIN)

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > self.size:
            raise ConfigError(
                f"{self.name}: the header does not fit into {self.size} bytes: "
                "the file is cut off or damaged",
                hint=FETCH_AGAIN,
            )
        if end > len(self.buffer):
            raise MoreNeeded
        part = self.buffer[self.position : end]
        self.position = end
        return part

    def unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def text(self) -> str:
        (length,) = self.unpack("<Q")
        raw = self.take(length)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise self.damaged(f"{raw[:20]!r} is no text") from exc

    def value(self, kind: int, key: str) -> Any:
        if kind in NUMBERS:
            return self.unpack("<" + NUMBERS[kind])[0]
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            raise self.damaged(f"{key} has a value of kind {kind}")
        item, count = self.unpack("<IQ")
        if item in NUMBERS:
            # Before the format is built: a wild count must not fill the memory.
            raw = self.take(count * struct.calcsize(NUMBERS[item]))
            return list(struct.unpack(f"<{count}{NUMBERS[item]}", raw))
        if item != STRING:
            raise self.damaged(f"{key} is a list of kind {item}")
        return self.texts(count, key)

    def texts(self, count: int, key: str) -> list[str]:
        # Vocabularies have hundreds of thousands: a loop of its own, three times as fast.
        buffer, position, end = self.buffer, self.position, len(self.buffer)
        length_at = struct.Struct("<Q").unpack
        found = []
        try:
            for _ in range(count):
                start = position + 8
                position = start + length_at(buffer[position:start])[0]
                if position > end:
                    break
                found.append(buffer[start:position].decode("utf-8"))
        except UnicodeDecodeError as exc:
            raise self.damaged(f"{key}: {exc.object[:20]!r} is no text") from exc
        except struct.error:
            position = end + 1
        if len(found) < count:
            self.take(min(position, self.size + 1) - self.position)
            raise MoreNeeded
        self.position = position
        return found

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self.text()
        (dimensions,) = self.unpack("<I")
        if not 0 < dimensions <= MAX_DIMENSIONS:
            raise self.damaged(f"tensor {name} has {dimensions} dimensions")
        shape = self.unpack(f"<{dimensions}Q")
        kind, offset = self.unpack("<IQ")
        return name, tuple(reversed(shape)), kind, offset
