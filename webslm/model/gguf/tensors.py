"""Own the way from a GGUF file's tensors to a checkpoint: read, unpacked and written in blocks.

Files are read, not mapped, and a tensor is never held whole unless it is small: a file of several
gigabytes becomes a checkpoint within some hundred megabytes of memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics.errors import StageFailed
from webslm.model.gguf.weights import Source

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]

BLOCK_BYTES = 8 << 20
"""Float32 bytes unpacked at once."""
KEPT = {"F16": ("<f2", 2), "BF16": ("<u2", 2)}
"""Types that a checkpoint has too: numpy's spelling and bytes; all others become float32."""
Report = Callable[[int, int, str], None]


def write(file: Path, found: Sequence[Source], target: Path, report: Report) -> int:
    """Write every tensor of ``found`` to one safetensors file; return how many numbers.

    Args:
        file: The GGUF.
        found: What to read, and how.
        target: The safetensors file to write.
        report: Told (done, all, text) before each tensor.

    Raises:
        StageFailed: The file ends early, or holds a number that is not finite.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end, count = 0, 0
    for source in found:
        kept = _kept(source)
        size = source.tensor.shape
        numbers = _product(size)
        start, end = end, end + numbers * (kept[1] if kept else 4)
        header[source.name] = {
            "dtype": source.tensor.storage.name if kept else "F32",
            "shape": list(size),
            "data_offsets": [start, end],
        }
        count += numbers
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with target.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for index, source in enumerate(found):
            report(index, len(found), source.tensor.name)
            for block in blocks(file, source):
                out.write(block.data)
    return count


def blocks(file: Path, source: Source, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Array]:
    """Yield a tensor's rows in the checkpoint's order, in the checkpoint's type.

    Raises:
        StageFailed: As ``write``.
    """
    import numpy as np

    shape = source.tensor.shape
    width = _product(shape[1:])
    # A vector is one row of blocks; a matrix is cut between rows, turned ones between heads.
    rows, unit = (shape[0], source.head_dim or 1) if len(shape) > 1 else (1, 1)
    step = max(1, block_bytes // (4 * max(1, width) * unit)) * unit
    row_bytes = source.tensor.nbytes // rows
    with file.open("rb") as opened:
        opened.seek(source.tensor.offset)
        for start in range(0, rows, step):
            taken = min(step, rows - start)
            raw = np.fromfile(opened, np.uint8, taken * row_bytes)
            if raw.size != taken * row_bytes:
                raise StageFailed(f"base: {file.name} ends within {source.tensor.name}")
            yield _finish(source, _unpack(source, raw.reshape(taken, row_bytes)))


def _unpack(source: Source, raw: npt.NDArray[np.uint8]) -> Array:
    """Return [rows, width] in the checkpoint's type."""
    kept = _kept(source)
    if kept:
        return raw.view(kept[0])
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    kind = GGMLQuantizationType[source.tensor.storage.name]
    unpacked: Array = dequantize(raw, kind)
    return unpacked


def _finish(source: Source, rows: Array) -> Array:
    import numpy as np

    if not _finite(rows, source.tensor.storage.name):
        raise StageFailed(
            f"base: {source.tensor.name} holds numbers that are not finite",
            hint="the file is damaged: fetch it again",
        )
    if source.offset:
        rows = rows - np.float32(source.offset)
    if source.head_dim:
        # ggml rotates neighbours, transformers halves: pairs become first and second half.
        paired = rows.reshape(-1, source.head_dim // 2, 2, *_tail(source))
        rows = paired.swapaxes(1, 2).reshape(rows.shape)
    return np.ascontiguousarray(rows)


def _finite(rows: Array, storage: str) -> bool:
    import numpy as np

    if storage == "BF16":
        # All exponent bits set: infinite or no number.
        return not bool(((rows & 0x7F80) == 0x7F80).any())
    return bool(np.isfinite(rows).all())


def _kept(source: Source) -> tuple[str, int] | None:
    return None if source.offset else KEPT.get(source.tensor.storage.name)


def _tail(source: Source) -> tuple[int, ...]:
    return source.tensor.shape[1:] or (1,)


def _product(sizes: Sequence[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
