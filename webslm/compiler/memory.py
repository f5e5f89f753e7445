"""Own what a model takes of a graphics chip: weights, cache, working space, by buffer. No TVM.

web-llm makes one buffer of each tensor and binds it whole, so the largest one decides whether a
chip can run the model at all; the sum decides whether it has room.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from webslm.basics.errors import ConfigError
from webslm.basics.stage import Metric
from webslm.compiler.metadata import PAGE_TOKENS
from webslm.model.architectures import architecture
from webslm.model.weights.format import ITEM_BYTES, Format, StoredTensor
from webslm.schema import QuantConf, ShapeConf

LEAST_CONTEXT = 512
KIND_WEIGHT, KIND_CACHE, KIND_WORK = "weight", "cache", "work"
LOGIT_BYTES = 4
"""Logits are float32 in every format."""


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """One buffer of the chip."""

    name: str
    kind: str
    """weight, cache or work."""
    nbytes: int


def library_tensors(shape: ShapeConf, quant: QuantConf) -> list[StoredTensor]:
    """Return the stored tensors of a library in the order of its metadata.

    Raises:
        ConfigError: The architecture is unknown, or shape or format are impossible.
    """
    form = Format(quant)
    form.check()
    parameters = architecture(shape.model_type).parameters(shape)
    return [tensor for parameter in parameters for tensor in form.tensors(parameter)]


def possible_tensors(shape: ShapeConf, quant: QuantConf) -> Sequence[StoredTensor]:
    """Return the same; none where shape or format are impossible, which others tell of."""
    try:
        return library_tensors(shape, quant)
    except (ConfigError, ArithmeticError):
        return ()


def weights_bytes(stored: Sequence[StoredTensor]) -> int:
    """Return the bytes of all weights on the chip, where no scale is packed."""
    return sum(_chip_bytes(tensor) for tensor in stored)


def cache_bytes(shape: ShapeConf, quant: QuantConf, *, context: int, chunk: int) -> int:
    """Return the bytes of the cache of all layers and of the attention's own scratch.

    The scratch is sized by the prefill chunk: q, k, v and two outputs in the format's type, and
    two float32 log-sum-exp rows.
    """
    rows = 3 * shape.num_attention_heads * shape.head_dim * ITEM_BYTES[quant.dtype]
    scratch = chunk * (rows + _token_bytes(shape, quant) + 2 * 4 * shape.num_attention_heads)
    return shape.num_hidden_layers * _layer_cache_bytes(shape, quant, context) + scratch


def contexts(window: int) -> list[int]:
    """Return the lengths a cache is told for: powers of two up to the window, and the window."""
    steps = max(0, math.ceil(math.log2(window / LEAST_CONTEXT)))
    return [*(LEAST_CONTEXT << step for step in range(steps)), window]


def buffers(
    shape: ShapeConf, quant: QuantConf, stored: Sequence[StoredTensor], *, context: int, chunk: int
) -> Iterator[Buffer]:
    """Yield what is bound as one buffer: each weight, a layer's cache, the widest activations."""
    for tensor in stored:
        yield Buffer(name=tensor.name, kind=KIND_WEIGHT, nbytes=_chip_bytes(tensor))
    layer = _layer_cache_bytes(shape, quant, context)
    yield Buffer(name="the cache of one layer", kind=KIND_CACHE, nbytes=layer)
    heads = shape.num_attention_heads + 2 * shape.num_key_value_heads
    widest = max(2 * shape.intermediate_size, heads * shape.head_dim, shape.hidden_size)
    work = max(chunk * widest * ITEM_BYTES[quant.dtype], shape.vocab_size * LOGIT_BYTES)
    yield Buffer(name="the activations of a prompt's chunk", kind=KIND_WORK, nbytes=work)


def largest_context(shape: ShapeConf, quant: QuantConf, limit: int) -> int:
    """Return the longest context whose cache of one layer fits into ``limit`` bytes."""
    pages = limit // (PAGE_TOKENS * _token_bytes(shape, quant))
    return max(0, pages - 1) * PAGE_TOKENS


def memory_plan(
    shape: ShapeConf,
    quant: QuantConf,
    stored: Sequence[StoredTensor],
    *,
    context_window_size: int,
    prefill_chunk_size: int,
    memory_usage: Mapping[str, int],
) -> dict[str, Metric]:
    """Return the bytes a chip must hold: weights, cache for each context, largest temporaries.

    Args:
        shape: The model.
        quant: Its format; ``dtype`` is the type that the library computes in.
        stored: The library's tensors.
        context_window_size: Tokens of the page's cache.
        prefill_chunk_size: Tokens of a prompt computed at once.
        memory_usage: Bytes that each compiled function allocates.
    """
    sizes = {
        context: cache_bytes(shape, quant, context=context, chunk=prefill_chunk_size)
        for context in contexts(context_window_size)
    }
    every = buffers(shape, quant, stored, context=context_window_size, chunk=prefill_chunk_size)
    largest = max(every, key=lambda buffer: buffer.nbytes)
    weights, cache = weights_bytes(stored), sizes[context_window_size]
    temporaries = max(memory_usage.values(), default=0)
    return {
        "weights_bytes": weights,
        "kv_cache_bytes": cache,
        "kv_cache_bytes_by_context": {str(context): size for context, size in sizes.items()},
        "temporaries_bytes": temporaries,
        "total_bytes": weights + cache + temporaries,
        "largest_buffer": largest.name,
        "largest_buffer_bytes": largest.nbytes,
    }


def _chip_bytes(tensor: StoredTensor) -> int:
    return tensor.elements * ITEM_BYTES[tensor.dtype]


def _token_bytes(shape: ShapeConf, quant: QuantConf) -> int:
    """Return the bytes of one token's key and value in one layer."""
    return 2 * shape.num_key_value_heads * shape.head_dim * ITEM_BYTES[quant.dtype]


def _layer_cache_bytes(shape: ShapeConf, quant: QuantConf, context: int) -> int:
    pages = -(-context // PAGE_TOKENS) + 1
    return pages * PAGE_TOKENS * _token_bytes(shape, quant)
