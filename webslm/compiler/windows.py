"""Own which lengths a library can be compiled for: its context and a prompt's chunk. No TVM."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.basics.errors import Problem
from webslm.basics.limits import positive
from webslm.schema import CompilerConf, ShapeConf


def window_problems(compiler: CompilerConf, shape: ShapeConf) -> Iterator[Problem]:
    """Yield what is wrong with the lengths, each with its key and what to type."""
    yield from positive("compiler", compiler, ("context_window_size", "prefill_chunk_size"))
    context, limit = compiler.context_window_size, shape.max_position_embeddings
    if context > limit:
        yield (
            f"compiler.context_window_size: {context} is above the {limit} tokens the base was "
            "made for",
            f"compiler.context_window_size={limit}",
        )
    if compiler.prefill_chunk_size > context:
        yield (
            f"compiler.prefill_chunk_size: {compiler.prefill_chunk_size} is above the context "
            f"of {context}",
            f"compiler.prefill_chunk_size={context}",
        )
