"""Own what a GGUF file says of rotary embeddings, as a config.json would say it."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.model.architectures.rope import rope_table
from webslm.model.gguf.header import Header
from webslm.model.gguf.keys import WHOLE, Keys
from webslm.model.gguf.names import ROPE_FREQUENCIES, ROPE_LONG, ROPE_SHORT
from webslm.schema import RopeScalingConf, ShapeConf

Read = Callable[[int, int], bytes]
LLAMA3 = {
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""What every Llama 3.1, 3.2 and 3.3 is stretched with, besides its factor."""
TOLERANCE = 1e-4


def rope_scaling(keys: Keys, read: Read) -> dict[str, Any] | None:
    """Return ``rope_scaling`` of a config.json; None: nothing is stretched.

    Args:
        keys: Metadata of the file's architecture.
        read: Returns (offset, count) bytes of the file.

    Raises:
        ConfigError: A table of frequencies follows no rule that is known here.
    """
    header = keys.header
    kind = keys.get("rope.scaling.type", "none")
    factor = keys.number("rope.scaling.factor", keys.get("rope.scale_linear", 1.0)) or 1.0
    if ROPE_LONG in header.tensors or ROPE_SHORT in header.tensors:
        return _longrope(keys, read)
    if kind not in ("none", "linear"):
        # Refused where every config.json of that kind is.
        return {"rope_type": str(kind), "factor": factor}
    if ROPE_FREQUENCIES in header.tensors:
        return _llama3(keys, read)
    if factor == 1.0:
        return None
    return {"rope_type": "linear", "factor": factor}


def _longrope(keys: Keys, read: Read) -> dict[str, Any]:
    header, length = keys.header, keys.count("context_length")
    missing = [name for name in (ROPE_SHORT, ROPE_LONG) if name not in header.tensors]
    if missing:
        raise ConfigError(f"{header.name}: no tensor {missing[0]}", hint=WHOLE)
    original = keys.count("rope.scaling.original_context_length", length, least=2)
    result: dict[str, Any] = {
        "rope_type": "longrope",
        "short_factor": numbers(header, ROPE_SHORT, read),
        "long_factor": numbers(header, ROPE_LONG, read),
        "original_max_position_embeddings": original,
    }
    told = keys.number("rope.scaling.attn_factor", 0.0)
    stretch = length / original
    usual = math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0
    if told and not math.isclose(told, usual, rel_tol=1e-5):
        result["attention_factor"] = told
    return result


def _llama3(keys: Keys, read: Read) -> dict[str, Any] | None:
    """Return the rule that llama.cpp worked its table of divisors out from."""
    divisors = numbers(keys.header, ROPE_FREQUENCIES, read)
    factor = max(divisors)
    if factor == min(divisors) == 1.0:
        return None
    rule = {"rope_type": "llama3", "factor": factor, **LLAMA3}
    if not _follows(divisors, keys.number("rope.freq_base", 10000.0), rule):
        raise ConfigError(
            f"{keys.header.name}: {ROPE_FREQUENCIES} follows no rule that is known here",
            hint="only the stretching of Llama 3.1 to 3.3 is read from a table",
        )
    return rule


def _follows(divisors: Sequence[float], theta: float, rule: Mapping[str, Any]) -> bool:
    if theta < 1 or not all(1 <= divisor < math.inf for divisor in divisors):
        return False
    size = 2 * len(divisors)
    shape = ShapeConf(
        model_type="llama",
        hidden_size=size,
        intermediate_size=size,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=size,
        vocab_size=1,
        max_position_embeddings=1,
        rope_theta=theta,
        rope_scaling=RopeScalingConf(**rule),
    )
    stretched = rope_table(shape).frequencies[0]
    return all(
        math.isclose(theta ** (-2 * i / size) / divisor, found, rel_tol=TOLERANCE)
        for i, (divisor, found) in enumerate(zip(divisors, stretched.tolist(), strict=True))
    )


def numbers(header: Header, name: str, read: Read) -> list[float]:
    """Return a small float32 tensor's numbers.

    Raises:
        ConfigError: It is stored as something else.
    """
    info = header.tensors[name]
    if info.storage.name != "F32" or not info.nbytes:
        raise ConfigError(f"{header.name}: {name} is no list of F32 numbers", hint=WHOLE)
    return [value for (value,) in struct.iter_unpack("<f", read(info.offset, info.nbytes))]
