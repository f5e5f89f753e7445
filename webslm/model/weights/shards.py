"""Own weight shards: write and read ``params_shard_<i>.bin`` with ``tensor-cache.json``.

Which tensors a model has, and what is in them, is decided elsewhere. Nothing larger than one
block of rows is held while writing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from webslm.basics.errors import StageFailed
from webslm.basics.fs import write_text
from webslm.basics.model_files import TENSOR_INDEX
from webslm.model.weights.format import BF16, ITEM_BYTES, StoredTensor
from webslm.model.weights.quantization import from_bf16, to_bf16

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

CAP_BYTES = 32 << 20
ALIGNMENT = 4


@dataclass(kw_only=True)
class _Shard:
    """A shard being written: its file, its digests so far and its records."""

    path: Path
    file: BinaryIO
    nbytes: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    sha256: Any = field(default_factory=hashlib.sha256)
    md5: Any = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self.file.write(data)
        self.sha256.update(data)
        self.md5.update(data)
        self.nbytes += len(data)

    def entry(self) -> dict[str, Any]:
        """Return the shard's entry in the index."""
        return {
            "dataPath": self.path.name,
            "format": "raw-shard",
            "nbytes": self.nbytes,
            "records": self.records,
            "md5sum": self.md5.hexdigest(),
            "sha256": self.sha256.hexdigest(),
        }


class ShardWriter:
    """Writes tensors one after the other; shards are numbered in the order they are opened.

    A tensor that would make the open shard reach the cap closes it; one of at least half the cap
    gets a shard of its own instead, and the open one goes on.
    """

    def __init__(self, folder: Path, *, cap_bytes: int = CAP_BYTES) -> None:
        self._folder = folder
        self._cap_bytes = cap_bytes
        self._shards: list[_Shard] = []
        self._open: _Shard | None = None
        self._names: set[str] = set()

    def add(self, tensor: StoredTensor, blocks: Iterable[Array]) -> None:
        """Append one tensor.

        Args:
            tensor: Its name, shape and encoding.
            blocks: Its rows in order, in arrays of any number of rows and the tensor's dtype.

        Raises:
            StageFailed: The name was written before, or the blocks are not the whole tensor.
        """
        if tensor.name in self._names:
            raise StageFailed(f"tensor written twice: {tensor.name}")
        self._names.add(tensor.name)
        shard, alone = self._shard_for(tensor.nbytes)
        shard.write(bytes(-shard.nbytes % ALIGNMENT))
        start = shard.nbytes
        for block in blocks:
            shard.write(_encode(block, tensor))
        if shard.nbytes - start != tensor.nbytes:
            raise StageFailed(
                f"{tensor.name}: {shard.nbytes - start} bytes written, {tensor.nbytes} expected"
            )
        shard.records.append(
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                "format": tensor.encoding,
                "nbytes": tensor.nbytes,
                "byteOffset": start,
            }
        )
        if alone:
            shard.file.close()

    def close(self, *, num_weights: int) -> dict[str, Any]:
        """Close the last shard, write the index and return it.

        Args:
            num_weights: Numbers the model has before quantization, for the bits per weight.
        """
        if self._open is not None:
            self._open.file.close()
            self._open = None
        total = sum(record["nbytes"] for shard in self._shards for record in shard.records)
        index = {
            "metadata": {
                "ParamSize": len(self._names),
                "ParamBytes": total,
                "BitsPerParam": round(total * 8 / num_weights, 6) if num_weights else 0.0,
            },
            "records": [shard.entry() for shard in self._shards],
        }
        write_text(self._folder / TENSOR_INDEX, json.dumps(index, indent=1) + "\n")
        return index

    def abort(self) -> None:
        """Close every file; what was written is not a model."""
        for shard in self._shards:
            shard.file.close()

    def _shard_for(self, nbytes: int) -> tuple[_Shard, bool]:
        pending = self._open.nbytes if self._open is not None else 0
        if pending + nbytes >= self._cap_bytes:
            if nbytes * 2 >= self._cap_bytes:
                return self._new_shard(), True
            if self._open is not None:
                self._open.file.close()
                self._open = None
        if self._open is None:
            self._open = self._new_shard()
        return self._open, False

    def _new_shard(self) -> _Shard:
        path = self._folder / f"params_shard_{len(self._shards)}.bin"
        shard = _Shard(path=path, file=path.open("wb"))
        self._shards.append(shard)
        return shard


class ShardReader:
    """Reads tensors back as the browser sees them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[str, tuple[Path, dict[str, Any]]] = {}
        try:
            index = json.loads((folder / TENSOR_INDEX).read_text(encoding="utf-8"))
            for shard in index["records"]:
                self._add_shard(shard)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise StageFailed(f"unreadable {folder / TENSOR_INDEX}: {exc}") from exc

    @property
    def names(self) -> tuple[str, ...]:
        """Return the tensors' names in the order of the index."""
        return tuple(self._records)

    def describe(self, name: str) -> StoredTensor:
        """Return a tensor's shape, dtype and encoding.

        Raises:
            StageFailed: There is no such tensor.
        """
        _, record = self._find(name)
        return StoredTensor(
            name=name,
            shape=tuple(record["shape"]),
            dtype=record["dtype"],
            encoding=record["format"],
        )

    def read(self, name: str) -> Array:
        """Return a tensor in its dtype; bfloat16 halves are decoded to float32.

        Raises:
            StageFailed: There is no such tensor, or its file is shorter than the index says.
        """
        import numpy as np

        path, record = self._find(name)
        tensor = self.describe(name)
        kind = "<u2" if tensor.encoding == BF16 else np.dtype(tensor.dtype).newbyteorder("<")
        try:
            values = np.fromfile(path, kind, tensor.elements, offset=record["byteOffset"])
        except OSError as exc:
            raise StageFailed(f"{name}: cannot read {path.name}: {exc}") from exc
        if values.size != tensor.elements or record["nbytes"] != tensor.nbytes:
            raise StageFailed(
                f"{name}: {path.name} does not hold its {tensor.nbytes} bytes",
                hint="the file is truncated or the index is not its own",
            )
        decoded = from_bf16(values) if tensor.encoding == BF16 else values
        return decoded.reshape(tensor.shape)

    def _add_shard(self, shard: dict[str, Any]) -> None:
        name = shard["dataPath"]
        if Path(name).name != name:
            raise StageFailed(f"{TENSOR_INDEX}: {name!r} leaves the folder")
        for record in shard["records"]:
            if record["name"] in self._records:
                raise StageFailed(f"{TENSOR_INDEX}: {record['name']} is there twice")
            if record["dtype"] not in ITEM_BYTES:
                raise StageFailed(f"{record['name']}: unknown dtype {record['dtype']!r}")
            self._records[record["name"]] = (self._folder / name, record)

    def _find(self, name: str) -> tuple[Path, dict[str, Any]]:
        if name not in self._records:
            raise StageFailed(f"no tensor {name!r} in {self._folder / TENSOR_INDEX}")
        return self._records[name]


def read_tensor(folder: Path, name: str) -> Array:
    """Return one tensor of a folder of shards; see ``ShardReader.read``."""
    return ShardReader(folder).read(name)


def iterate(folder: Path) -> Iterator[tuple[str, Array]]:
    """Yield every tensor's name and values in the order of the index."""
    reader = ShardReader(folder)
    for name in reader.names:
        yield name, reader.read(name)


def _encode(block: Array, tensor: StoredTensor) -> memoryview:
    import numpy as np

    if tensor.encoding == BF16:
        block = to_bf16(block.astype(np.float32, copy=False))
        return block.reshape(-1).view(np.uint8).data
    little = np.ascontiguousarray(block, dtype=np.dtype(tensor.dtype).newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data
