"""Own one safetensors file: its header and the rows of its tensors. Know no checkpoint.

Files are read, not mapped: pages of a mapped file count as this process's memory, and a
checkpoint may be larger than the machine's.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics.errors import StageFailed

if TYPE_CHECKING:
    from webslm.model.weights.quantization import Float32

ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Types of weights, with the bytes of a number."""
MAX_HEADER_BYTES = 100 << 20


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Where a tensor lies."""

    path: Path
    dtype: str
    """As the file says; only those of ``ITEM_BYTES`` are weights."""
    shape: tuple[int, ...]
    offset: int
    """First byte in the file."""
    nbytes: int

    @property
    def row_elements(self) -> int:
        """Return the elements of one row (of one element, for a vector)."""
        count = 1
        for size in self.shape[1:]:
            count *= size
        return count


def read_header(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name: 8 bytes of length, JSON, then the tensors' bytes.

    Raises:
        StageFailed: It cannot be read, or is no whole safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(MAX_HEADER_BYTES, size - 8):
                raise StageFailed(
                    f"{path.name}: no safetensors file (header of {length} bytes)",
                    hint=_pointer_hint(path) or "fetch or save it again",
                )
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        tensors = {name: _tensor(path, 8 + length, entry) for name, entry in header.items()}
    except OSError as exc:
        raise StageFailed(f"unreadable {path}: {exc.strerror or exc}") from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise StageFailed(f"unreadable {path}: its header is damaged") from exc
    for name, tensor in tensors.items():
        expected = tensor.row_elements * ITEM_BYTES.get(tensor.dtype, 0)
        expected *= tensor.shape[0] if tensor.shape else 1
        wrong_size = tensor.dtype in ITEM_BYTES and tensor.nbytes != expected
        if wrong_size or tensor.nbytes < 0 or tensor.offset + tensor.nbytes > size:
            raise StageFailed(
                f"{name}: {path.name} does not hold its {list(tensor.shape)} {tensor.dtype}",
                hint="the file is truncated: fetch or save it again",
            )
    _check_as_others_do(path)
    return tensors


def read_rows(name: str, tensor: Tensor, start: int, rows: int) -> Float32:
    """Return rows of a tensor as float32 [rows, ...].

    Raises:
        StageFailed: The file cannot be read or ends early.
    """
    import numpy as np

    from webslm.model.weights.quantization import from_bf16

    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    count = rows * tensor.row_elements
    offset = tensor.offset + start * tensor.row_elements * ITEM_BYTES[tensor.dtype]
    try:
        with tensor.path.open("rb") as file:
            file.seek(offset, os.SEEK_SET)
            values = np.fromfile(file, kinds[tensor.dtype], count)
    except OSError as exc:
        raise StageFailed(f"{name}: cannot read {tensor.path}: {exc}") from exc
    if values.size != count:
        raise StageFailed(f"{name}: {tensor.path} ends early")
    decoded = from_bf16(values) if tensor.dtype == "BF16" else values.astype(np.float32, copy=False)
    return decoded.reshape((rows, *tensor.shape[1:]))


def _check_as_others_do(path: Path) -> None:
    """Ask the library that transformers reads with: holes, overlaps and names given twice."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as exc:
        raise StageFailed(
            f"unreadable {path}: {exc}", hint="the file is damaged: fetch or save it again"
        ) from exc


def _pointer_hint(path: Path) -> str | None:
    with path.open("rb") as file:
        is_pointer = file.read(40).startswith(b"version https://git-lfs")
    return (
        "it is a Git LFS pointer, not the weights: run `git lfs pull` there" if is_pointer else None
    )


def _tensor(path: Path, base: int, entry: dict[str, Any]) -> Tensor:
    start, end = (int(value) for value in entry["data_offsets"])
    shape = tuple(int(size) for size in entry["shape"])
    if start < 0 or any(size < 0 for size in shape):
        raise ValueError(f"negative offset or size: {entry}")
    return Tensor(
        path=path,
        dtype=str(entry["dtype"]),
        shape=shape,
        offset=base + start,
        nbytes=end - start,
    )
