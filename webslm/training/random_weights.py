"""Own checkpoints of random numbers: any shape at full size, without a hub. Train nothing.

What they are for: conversion, compilation and memory at real sizes. What they say is noise.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import model_files
from webslm.basics.errors import ConfigError
from webslm.basics.fs import write_text
from webslm.schema import TinyConf
from webslm.training import tiny
from webslm.training import tokenizer as tokenizers
from webslm.training.torch_mode import quiet

if TYPE_CHECKING:
    import numpy as np

SHARD_BYTES = 2 << 30
BLOCK = 4 << 20
"""Numbers made at once: 16 MiB of float32, whatever the tensor's size."""
VOCABULARY = 1024
"""Entries of the tokenizer; ids above it have a row of weights and no text."""
KINDS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
Report = Callable[[float, float, str], None]
"""Called after a tensor with (tensors done, tensors in all, name)."""
Shapes = Mapping[str, tuple[int, ...]]


def _token_ids() -> dict[str, int | None]:
    end, text_end = (
        tokenizers.SPECIAL.index(token) for token in (tokenizers.TURN_END, tokenizers.TEXT_END)
    )
    return {"bos_token_id": None, "eos_token_id": end, "pad_token_id": text_end}


def make(
    config: Mapping[str, Any],
    corpus: TinyConf,
    *,
    dtype: str,
    seed: int,
    folder: Path,
    report: Report,
) -> dict[str, Any]:
    """Write a checkpoint folder: config, sharded safetensors, a tokenizer trained on ``corpus``.

    Weights are normal with standard deviation ``hidden_size ** -0.5``, gains of norms normal
    around one (around zero where the family adds one), biases as weights; one seed gives one
    checkpoint, whatever the machine.

    Args:
        config: A config.json's content without dtype and token ids.
        corpus: Texts of the tokenizer.
        dtype: Type of every tensor.
        seed: Of the numbers.
        folder: Where to.
        report: Told of every tensor.

    Raises:
        ConfigError: transformers knows no such model, or the dtype is none.
    """
    if dtype not in KINDS:
        raise ConfigError(f"base.dtype: no type {dtype!r}", hint=f"one of {', '.join(KINDS)}")
    document = {**config, "torch_dtype": dtype, **_token_ids()}
    with quiet():
        shapes = tensors(document)
    size = min(VOCABULARY, int(config["vocab_size"]))
    tokenizer = tokenizers.train(tiny.corpus(corpus), size)
    tokenizers.save(tokenizer, folder, max_length=int(config["max_position_embeddings"]))
    tiny.write_generation_config(folder)
    write_text(folder / model_files.CONFIG, json.dumps(document, indent=2, sort_keys=True) + "\n")
    _write_shards(folder, shapes, dtype, seed, int(config["hidden_size"]) ** -0.5, report)
    parameters = sum(_count(size) for size in shapes.values())
    return {"parameters": parameters, "seed": seed, "tensors": len(shapes)}


def tensors(document: Mapping[str, Any]) -> Shapes:
    """Return the tensors that transformers saves for a config.json, without their data."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.for_model(**document)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError) as exc:
        raise ConfigError(f"base.shape: {exc}") from exc
    tied = set(model.all_tied_weights_keys) if document["tie_word_embeddings"] else set()
    return {
        name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied
    }


def _write_shards(
    folder: Path,
    shapes: Shapes,
    dtype: str,
    seed: int,
    spread: float,
    report: Report,
) -> None:
    groups = list(_groups(shapes, dtype))
    weight_map: dict[str, str] = {}
    done = 0
    for index, names in enumerate(groups, 1):
        name = f"model-{index:05d}-of-{len(groups):05d}.safetensors"
        if len(groups) == 1:
            name = model_files.WEIGHTS
        with (folder / name).open("wb") as file:
            file.write(_header({key: shapes[key] for key in names}, dtype))
            for key in names:
                for block in _numbers(key, _count(shapes[key]), seed, spread):
                    file.write(_encode(block, dtype))
                done += 1
                report(done, len(shapes), key)
        weight_map |= dict.fromkeys(names, name)
    if len(groups) > 1:
        size = sum(_count(s) for s in shapes.values()) * _width(dtype)
        index_file = {"metadata": {"total_size": size}, "weight_map": weight_map}
        text = json.dumps(index_file, indent=2, sort_keys=True) + "\n"
        write_text(folder / model_files.WEIGHTS_INDEX, text)


def _groups(shapes: Shapes, dtype: str) -> Iterator[list[str]]:
    """Yield the tensors of each file."""
    group: list[str] = []
    size = 0
    for name, dims in shapes.items():
        nbytes = _count(dims) * _width(dtype)
        if group and size + nbytes > SHARD_BYTES:
            yield group
            group, size = [], 0
        group.append(name)
        size += nbytes
    yield group


def _header(shapes: Shapes, dtype: str) -> bytes:
    """Return a safetensors header: 8 bytes of length, then JSON padded to 8 bytes."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, dims in shapes.items():
        end = start + _count(dims) * _width(dtype)
        entries[name] = {"dtype": KINDS[dtype], "shape": list(dims), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _numbers(name: str, count: int, seed: int, spread: float) -> Iterator[np.ndarray]:
    """Yield ``count`` float32 numbers of a tensor; its name is part of the seed."""
    import numpy as np

    generator = np.random.Generator(np.random.SFC64([seed, *name.encode()]))
    mean, scale = (1.0, 0.05) if name.endswith("norm.weight") else (0.0, spread)
    for start in range(0, count, BLOCK):
        block = generator.standard_normal(min(BLOCK, count - start), dtype=np.float32)
        yield block * np.float32(scale) + np.float32(mean)


def _encode(block: np.ndarray, dtype: str) -> bytes:
    import numpy as np

    if dtype == "bfloat16":
        bits = block.view(np.uint32)
        return ((bits + (np.uint32(0x7FFF) + ((bits >> 16) & 1))) >> 16).astype("<u2").tobytes()
    return block.astype(np.dtype(dtype).newbyteorder("<")).tobytes()


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _width(dtype: str) -> int:
    return 4 if dtype == "float32" else 2
