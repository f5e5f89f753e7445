"""Own whether a model fits the devices of its profile: asked, and told, before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.filesize import decimal

from webslm.basics.errors import Problem
from webslm.compiler import memory
from webslm.compiler.memory import Buffer
from webslm.compiler.profiles import PROFILES
from webslm.model.weights.format import StoredTensor
from webslm.schema import Config, Profile

ADVICE = {
    memory.KIND_WEIGHT: "fewer bits (quant=q3f32_1) or a base with a smaller vocabulary",
    memory.KIND_CACHE: "compiler.context_window_size={context}",
    memory.KIND_WORK: "a smaller compiler.prefill_chunk_size",
}


def problems(cfg: Config) -> Iterator[Problem]:
    """Yield each kind of buffer that no device of the profile need bind, with its largest one."""
    compiler, profile = cfg.compiler, cfg.compiler.profile
    stored = memory.possible_tensors(cfg.base.shape, cfg.quant)
    if not stored or min(compiler.context_window_size, compiler.prefill_chunk_size) < 1:
        # What is wrong there is told by the checks of those values.
        return
    limits = PROFILES[profile]
    most = min(limits.max_buffer_size, limits.max_storage_buffer_binding_size)
    for buffer in _largest_of_each_kind(cfg, stored):
        if buffer.nbytes > most:
            yield (
                f"compiler.profile: {buffer.name} takes {buffer.nbytes} bytes as one buffer, and "
                f"{profile.value} devices need not bind more than {most}",
                _advice(cfg, buffer, most),
            )


def lines(cfg: Config, compiled: Mapping[str, Any] | None) -> list[str]:
    """Return what the model will take of a graphics chip, in words.

    Args:
        cfg: A checked build.
        compiled: ``memory`` of the compiled library's metrics; None: it is not stored yet.
    """
    stored = memory.possible_tensors(cfg.base.shape, cfg.quant)
    chunk, window = cfg.compiler.prefill_chunk_size, cfg.compiler.context_window_size
    shape, quant = cfg.base.shape, cfg.quant
    cache = ", ".join(
        f"{decimal(memory.cache_bytes(shape, quant, context=context, chunk=chunk))} at {context}"
        for context in memory.contexts(window)
    )
    work = "known once compiled" if compiled is None else decimal(compiled["temporaries_bytes"])
    largest = max(_largest_of_each_kind(cfg, stored), key=lambda buffer: buffer.nbytes)
    limit = PROFILES[cfg.compiler.profile].max_storage_buffer_binding_size
    return [
        f"graphics memory: weights {decimal(memory.weights_bytes(stored))}, working space {work}",
        f"cache by tokens of context: {cache}",
        f"largest buffer: {largest.name}, {decimal(largest.nbytes)} of {decimal(limit)} "
        f"({cfg.compiler.profile.value})",
    ]


def _largest_of_each_kind(cfg: Config, stored: Sequence[StoredTensor]) -> list[Buffer]:
    found: dict[str, Buffer] = {}
    for buffer in memory.buffers(
        cfg.base.shape,
        cfg.quant,
        stored,
        context=cfg.compiler.context_window_size,
        chunk=cfg.compiler.prefill_chunk_size,
    ):
        if buffer.kind not in found or buffer.nbytes > found[buffer.kind].nbytes:
            found[buffer.kind] = buffer
    return list(found.values())


def _advice(cfg: Config, buffer: Buffer, most: int) -> str:
    context = memory.largest_context(cfg.base.shape, cfg.quant, most)
    advice = ADVICE[buffer.kind].format(context=context)
    desktop = PROFILES[Profile.desktop].max_storage_buffer_binding_size
    if cfg.compiler.profile is Profile.mobile and buffer.nbytes <= desktop:
        advice += ", or compiler.profile=desktop"
    return advice
