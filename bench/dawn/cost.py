"""Own what a decoded token costs by its library: dispatches and bytes. Compile and run nothing."""

from __future__ import annotations

import re
from collections.abc import Collection

from webslm.compiler.memory import library_tensors
from webslm.schema import QuantConf, ShapeConf

TOKEN_FUNCTIONS = (
    "embed",
    "decode",
    "softmax_with_temperature",
    "argsort_probs",
    "sample_with_top_p",
)
"""What web-llm calls for a token whose temperature is above zero and that nothing penalises."""
CACHE_CALL = "vm.builtin.attention_kv_cache_attention_with_fused_qkv"
CACHE_KERNELS = ("kv_append", "attention_decode")
"""What the cache launches for a layer of one token; before them ``rope`` where it rotates."""


def dispatches(listing: str, shaders: Collection[str], *, rotates: bool = True) -> int:
    """Return the dispatches of a decoded token.

    Args:
        listing: ``VMExecutable.as_text()`` of a library.
        shaders: Names of its shaders; a call of anything else runs on the CPU.
        rotates: Whether the cache rotates queries and keys, not the model.
    """
    cache = (*CACHE_KERNELS, *(("rope",) if rotates else ()))
    launched = 0
    for name, body in _functions(listing).items():
        if name in TOKEN_FUNCTIONS:
            for called in re.findall(r"^ +call +(\S+)", body, flags=re.M):
                kernels = cache if called == CACHE_CALL else (called,)
                launched += sum(_count(kernel, shaders) for kernel in kernels)
    return launched


def _functions(listing: str) -> dict[str, str]:
    parts = re.split(r"^@(\S+):\n", listing, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _count(function: str, shaders: Collection[str]) -> int:
    """Return of how many shaders a function of the library is made."""
    pattern = re.compile(rf"{re.escape(function)}_kernel(_\d+)?")
    return sum(pattern.fullmatch(name) is not None for name in shaders)


def weight_bytes(shape: ShapeConf, quant: QuantConf) -> int:
    """Return the bytes of weights that a decoded token reads: all but a table that is no head."""
    return sum(
        tensor.nbytes
        for tensor in library_tensors(shape, quant)
        if shape.tie_word_embeddings or "embed_tokens" not in tensor.name
    )


def cache_bytes_per_token(shape: ShapeConf, quant: QuantConf) -> int:
    """Return the bytes of keys and values that a cached token adds to every later token's reads."""
    heads = 2 * shape.num_key_value_heads * shape.head_dim * shape.num_hidden_layers
    return heads * (2 if quant.dtype == "float16" else 4)
