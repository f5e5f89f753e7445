"""Own reading of Hugging Face checkpoint folders, in blocks of rows; know no architecture.

Files are read, not mapped: pages of a mapped file count as this process's memory, and a
checkpoint may be larger than the machine's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.compiler.weights import Parameter
from webslm.errors import StageFailed

if TYPE_CHECKING:
    from webslm.compiler.quantization import Float32

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
MAX_HEADER_BYTES = 100 << 20
BLOCK_BYTES = 8 << 20
"""Float32 bytes read at once."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Where a tensor lies."""

    path: Path
    dtype: str
    """F32, F16 or BF16; another type is refused when the tensor is read."""
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


class Checkpoint:
    """The tensors of one folder: one ``model.safetensors``, or shards with their index."""

    def __init__(self, folder: Path) -> None:
        """Read the headers only.

        Raises:
            StageFailed: No weights, a broken header, or an index that points elsewhere.
        """
        self.folder = folder
        self.tensors: dict[str, Tensor] = {}
        if (folder / INDEX_NAME).is_file():
            self._read_shards(_read_index(folder / INDEX_NAME))
        elif (folder / WEIGHTS_NAME).is_file():
            self.tensors.update(_read_header(folder / WEIGHTS_NAME))
        else:
            raise StageFailed(
                f"no weights in {folder}: neither {WEIGHTS_NAME} nor {INDEX_NAME}",
                hint="save the model with safe_serialization (safetensors)",
            )

    @property
    def nbytes(self) -> int:
        """Return the size of all tensors in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def blocks(self, name: str, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Float32]:
        """Yield a tensor's rows in order as float32 [n, ...], about ``block_bytes`` at a time.

        Raises:
            StageFailed: No such tensor, a type that is no weight, or a file that ends early.
        """
        tensor = self._find(name)
        if tensor.dtype not in ITEM_BYTES:
            raise StageFailed(
                f"{name}: stored as {tensor.dtype}",
                hint="only F32, F16 and BF16 checkpoints can be converted",
            )
        rows = tensor.shape[0] if tensor.shape else 1
        step = max(1, block_bytes // (4 * max(1, tensor.row_elements)))
        for start in range(0, rows, step):
            yield _read_rows(name, tensor, start, min(step, rows - start))

    def check(self, parameters: Sequence[Parameter], *, ignorable: Iterable[str] = ()) -> None:
        """Raise StageFailed unless every tensor makes exactly one parameter of the right shape.

        Args:
            parameters: The weight map.
            ignorable: Ends of tensor names that may be there without being used.
        """
        used: set[str] = set()
        for parameter in parameters:
            for source in parameter.sources:
                if source in used:
                    raise StageFailed(f"{source}: mapped to more than one parameter")
                used.add(source)
            self._check_shape(parameter)
        endings = tuple(ignorable)
        unused = [n for n in self.tensors if n not in used and not n.endswith(endings)]
        if unused:
            listed = ", ".join(sorted(unused)[:5]) + (" ..." if len(unused) > 5 else "")
            raise StageFailed(
                f"{len(unused)} checkpoint tensors are used by nothing: {listed}",
                hint="the checkpoint is of another architecture, or still holds an adapter",
            )

    def _check_shape(self, parameter: Parameter) -> None:
        shapes = [self._find(source).shape for source in parameter.sources]
        rows = sum(shape[0] if shape else 1 for shape in shapes)
        tails = {(len(shape), shape[1:]) for shape in shapes}
        if tails != {(len(parameter.shape), parameter.shape[1:])} or rows != parameter.shape[0]:
            found = ", ".join(
                f"{source} {list(shape)}"
                for source, shape in zip(parameter.sources, shapes, strict=True)
            )
            raise StageFailed(
                f"{parameter.name}: needs {list(parameter.shape)}, the checkpoint has {found}",
                hint="base.shape does not describe this checkpoint",
            )

    def _find(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise StageFailed(
                f"{name}: not in the checkpoint {self.folder}",
                hint="base.shape does not describe this checkpoint",
            )
        return self.tensors[name]

    def _read_shards(self, weight_map: dict[str, str]) -> None:
        for file_name in sorted(set(weight_map.values())):
            found = _read_header(self.folder / file_name)
            for name, tensor in found.items():
                if weight_map.get(name) == file_name:
                    self.tensors[name] = tensor
                elif name not in weight_map:
                    raise StageFailed(f"{name}: in {file_name} but not in {INDEX_NAME}")
        for name, file_name in weight_map.items():
            if name not in self.tensors:
                raise StageFailed(f"{name}: {INDEX_NAME} says {file_name}, it is not there")


def _read_index(path: Path) -> dict[str, str]:
    """Return tensor name to file name; every file lies in the folder itself."""
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        pairs = {str(name): str(file_name) for name, file_name in weight_map.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StageFailed(f"unreadable {path}: {exc}") from exc
    for name, file_name in pairs.items():
        if not file_name or set(file_name) & set("/\\:\0") or file_name in (".", ".."):
            raise StageFailed(f"{path.name}: {name} points outside the folder: {file_name!r}")
    return pairs


def _read_header(path: Path) -> dict[str, Tensor]:
    """Read a safetensors header: 8 bytes of length, JSON, then the tensors' bytes."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(MAX_HEADER_BYTES, size - 8):
                raise StageFailed(f"{path.name}: no safetensors file (header of {length} bytes)")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        tensors = {name: _tensor(path, 8 + length, entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StageFailed(f"unreadable {path}: {exc}") from exc
    for name, tensor in tensors.items():
        expected = tensor.row_elements * ITEM_BYTES.get(tensor.dtype, 0)
        expected *= tensor.shape[0] if tensor.shape else 1
        wrong_size = tensor.dtype in ITEM_BYTES and tensor.nbytes != expected
        if wrong_size or tensor.nbytes < 0 or tensor.offset + tensor.nbytes > size:
            raise StageFailed(
                f"{name}: {path.name} does not hold its {list(tensor.shape)} {tensor.dtype}",
                hint="the file is truncated: fetch or save it again",
            )
    return tensors


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


def _read_rows(name: str, tensor: Tensor, start: int, rows: int) -> Float32:
    import numpy as np

    from webslm.compiler.quantization import from_bf16

    kinds = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
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
