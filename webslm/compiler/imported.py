"""Own libraries that came from elsewhere: what one says of itself, held against the wanted model.

A library's ``_metadata`` lies in its data as text, whoever compiled it, so nothing has to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.keys import plain
from webslm.compiler.memory import library_tensors
from webslm.compiler.wasm.binary import read_sections
from webslm.schema import CompileStageConf

FIRST_KEY = b'{"model_type"'
SHAPE, ACTIVATIONS = "shape", "activations"
"""What webslm's own libraries hold besides: the whole shape, and the type they compute in."""


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what a library says of itself.

    Raises:
        StageFailed: It is no WebAssembly module, or says nothing.
    """
    for segment in read_sections(path).segments:
        start = segment.data.find(FIRST_KEY)
        while start >= 0:
            found = _decode(segment.data[start:])
            if found is not None:
                return found
            start = segment.data.find(FIRST_KEY, start + 1)
    raise StageFailed(
        f"compile: {path.name} holds no metadata of a model",
        hint="name a library that webslm or mlc_llm compiled for the browser",
    )


def check_fits(metadata: Mapping[str, Any], cfg: CompileStageConf, name: str) -> None:
    """Refuse a library that was made for another model, format or context.

    Raises:
        ConfigError: Names the first field that differs, with both values.
    """
    for field, found, wanted in differences(metadata, cfg):
        raise ConfigError(
            f"compiler: {name} was made for {field} {_short(found)}, this build wants "
            f"{_short(wanted)}",
            hint="compile it here: compiler=tvm, or name another library",
        )


def differences(
    metadata: Mapping[str, Any], cfg: CompileStageConf
) -> Iterator[tuple[str, object, object]]:
    """Yield (field, what the library says, what the build wants) where they differ."""
    wanted: dict[str, object] = {
        "model_type": cfg.shape.model_type,
        "quantization": cfg.quant.name,
        "context_window_size": cfg.compiler.context_window_size,
        "prefill_chunk_size": cfg.compiler.prefill_chunk_size,
        "tensor_parallel_shards": 1,
    }
    for field, value in wanted.items():
        if metadata.get(field) != value:
            yield field, metadata.get(field), value
    computes = metadata.get(ACTIVATIONS, cfg.quant.dtype)
    if computes != cfg.quant.dtype:
        yield ACTIVATIONS, computes, cfg.quant.dtype
    told, shape = metadata.get(SHAPE), plain(cfg.shape)
    if isinstance(told, dict):
        for key in sorted(set(told) | set(shape)):
            if told.get(key) != shape.get(key):
                yield f"shape.{key}", told.get(key), shape.get(key)
    yield from _cache(metadata, cfg)
    yield from _parameters(metadata, cfg)


def _cache(
    metadata: Mapping[str, Any], cfg: CompileStageConf
) -> Iterator[tuple[str, object, object]]:
    for key, value in (metadata.get("kv_cache") or {}).items():
        wanted = getattr(cfg.shape, key, value)
        if value != wanted:
            yield f"kv_cache.{key}", value, wanted


def _parameters(
    metadata: Mapping[str, Any], cfg: CompileStageConf
) -> Iterator[tuple[str, object, object]]:
    wanted = {
        tensor.name: (list(tensor.shape), tensor.dtype)
        for tensor in library_tensors(cfg.shape, cfg.quant)
    }
    found = {}
    for row in metadata.get("params") or []:
        name = str(row.get("name"))
        sizes, _ = wanted.get(name, ([], None))
        found[name] = (_sizes(row.get("shape") or [], sizes), row.get("dtype"))
    for name in [*wanted, *(name for name in found if name not in wanted)]:
        if found.get(name) != wanted.get(name):
            yield f"params.{name}", found.get(name, "absent"), wanted.get(name, "absent")
    # The page hands over weights in the library's own order: others may have another one.
    if SHAPE in metadata and list(found) != list(wanted) and set(found) == set(wanted):
        yield "the order of params", next(iter(found)), next(iter(wanted))


def _sizes(found: Sequence[int | str], wanted: Sequence[int]) -> list[int | str]:
    """Return a tensor's sizes; one that the library takes as it comes ("vocab_size") fits."""
    if len(found) != len(wanted):
        return list(found)
    return [
        right if isinstance(size, str) else size for size, right in zip(found, wanted, strict=True)
    ]


def _decode(data: bytes) -> dict[str, Any] | None:
    # One byte is one character to web-llm as well.
    try:
        value, _ = json.JSONDecoder().raw_decode(data.decode("latin-1"))
    except ValueError:
        return None
    return value if isinstance(value, dict) and "params" in value else None


def _short(value: object) -> str:
    text = json.dumps(value) if not isinstance(value, tuple) else " ".join(map(str, value))
    return text if len(text) <= 80 else f"{text[:77]}..."
