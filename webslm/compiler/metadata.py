"""Own ``_metadata``: what a library says about itself. No TVM."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from webslm.basics.keys import plain
from webslm.basics.stage import Metric
from webslm.model.weights.format import StoredTensor
from webslm.schema import QuantConf, ShapeConf

PAGE_TOKENS = 16


def metadata(
    shape: ShapeConf,
    quant: QuantConf,
    stored: Sequence[StoredTensor],
    *,
    activations: str,
    context_window_size: int,
    prefill_chunk_size: int,
    memory_usage: Mapping[str, int],
) -> dict[str, Metric]:
    """Return what ``_metadata`` answers; web-llm reads params' order and the chunk size."""
    return {
        "model_type": shape.model_type,
        "quantization": quant.name,
        "context_window_size": context_window_size,
        "sliding_window_size": -1,
        "attention_sink_size": -1,
        "prefill_chunk_size": prefill_chunk_size,
        "max_batch_size": 1,
        "tensor_parallel_shards": 1,
        "pipeline_parallel_stages": 1,
        "kv_state_kind": "kv_cache",
        "model_task": "chat",
        "kv_cache": {
            "num_hidden_layers": shape.num_hidden_layers,
            "num_attention_heads": shape.num_attention_heads,
            "num_key_value_heads": shape.num_key_value_heads,
            "head_dim": shape.head_dim,
        },
        # web-llm passes these two over; who takes over a library compares them with the model.
        "shape": plain(shape),
        "activations": activations,
        "memory_usage": dict(memory_usage),
        "params": [_parameter(tensor) for tensor in stored],
    }


def _parameter(tensor: StoredTensor) -> dict[str, Metric]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "preprocs": [],
        "pipeline_stages": [0],
    }


def metadata_json(document: Mapping[str, Metric]) -> str:
    """Return the string that the library holds: ASCII, because web-llm decodes bytes as chars."""
    return json.dumps(document, ensure_ascii=True, separators=(",", ":"))
