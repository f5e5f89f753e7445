"""Own random weights that any machine makes alike: `python3 weights.py SITE` fills SITE's shards.

The measuring machine needs them and cannot be sent them (hundreds of megabytes), so both sides
make them from the tensors' names. Needs numpy alone: that machine has no webslm.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CODE_SPREAD = 4.18
"""Standard deviation of a code that takes -7 ... 7 evenly, and 0 twice as often."""
LOWEST_BITS = np.uint32(0x11111111)
TABLE_SPREAD = 0.1
"""Wide enough for logits that tell tokens apart."""


def values(name: str, shape: list[int] | tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """Return a stored tensor's values; float32 ones are exact in bfloat16.

    Codes are even around their middle (a model whose weights have another mean than 0 says the
    same to everything); the rest is even around a middle that keeps activations near 1.
    """
    count = math.prod(shape)
    source = np.random.PCG64(zlib.crc32(name.encode()))
    drawn = np.asarray(source.random_raw(-(-count // 2)), dtype=np.uint64)
    bits: npt.NDArray[np.uint32] = drawn.view(np.uint32)[:count]
    if dtype == "uint32":
        fifteens = (
            bits & bits >> np.uint32(1) & bits >> np.uint32(2) & bits >> np.uint32(3) & LOWEST_BITS
        )
        codes: npt.NDArray[np.uint32] = bits ^ fifteens << np.uint32(3)
        return codes.reshape(shape)
    even = (bits >> 16).astype(np.float32) / np.float32(32768) - np.float32(1)
    middle, reach = _range(name, shape)
    floats = np.float32(middle) + np.float32(reach) * even
    if dtype == "float16":
        return floats.astype("<f2").reshape(shape)
    kept: npt.NDArray[np.uint32] = floats.view(np.uint32) & np.uint32(0xFFFF0000)
    return kept.view(np.float32).reshape(shape)


def _range(name: str, shape: list[int] | tuple[int, ...]) -> tuple[float, float]:
    if name.endswith("norm.weight"):
        return 1.0, 0.1
    if name.endswith("bias"):
        return 0.0, 0.1
    columns = shape[-1] * 32 if name.endswith("q_scale") else shape[-1]
    spread = TABLE_SPREAD if "embed_tokens" in name else 1 / math.sqrt(columns)
    if name.endswith("q_scale"):
        return spread / CODE_SPREAD, spread / CODE_SPREAD / 4
    return 0.0, spread * math.sqrt(3)


def fill(site: Path) -> None:
    """Write the shards that a site's index names, and hold each against its digest."""
    index_path = next(site.glob("models/*/resolve/*/tensor-cache.json"))
    for shard in json.loads(index_path.read_text(encoding="utf-8"))["records"]:
        content = bytearray(shard["nbytes"])
        for record in shard["records"]:
            tensor = values(record["name"], record["shape"], record["dtype"])
            if record["format"] == "f32-to-bf16":
                tensor = (tensor.view(np.uint32) >> 16).astype("<u2")
            start = record["byteOffset"]
            content[start : start + record["nbytes"]] = tensor.tobytes()
        if hashlib.sha256(content).hexdigest() != shard["sha256"]:
            sys.exit(f"weights.py: {shard['dataPath']} came out otherwise than where it was made")
        (index_path.parent / shard["dataPath"]).write_bytes(content)


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
