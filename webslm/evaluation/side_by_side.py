"""Own how batches share the cores: each computed by one thread, several at a time.

Two threads on one small batch wait for each other at every layer; two batches do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Batch = TypeVar("Batch")
Found = TypeVar("Found")
MOVING = ("dynamic", "longrope")
"""Rotations whose frequencies a model changes with the length that it reads."""


def side_by_side(
    model: Any, work: Callable[[Batch], Found], batches: Sequence[Batch]
) -> list[Found]:
    """Return what ``work`` makes of each batch, in order, on as many threads as torch has.

    Args:
        model: What ``work`` reads, and never changes.
        work: Called once a batch, in a thread of its own.
        batches: The batches; long ones first keep all threads busy to the end.
    """
    import torch

    if len(batches) == 1:
        return [work(batches[0])]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(
            1 if has_moving_rotation(model) else threads,
            initializer=torch.set_num_threads,
            initargs=(1,),
        ) as pool:
            return list(pool.map(work, batches))
    finally:
        torch.set_num_threads(threads)


def has_moving_rotation(model: Any) -> bool:
    """Return whether a model changes itself when it reads, so that two batches would collide."""
    kinds = [str(getattr(module, "rope_type", "")) for module in model.modules()]
    return any(name in kind for kind in kinds for name in MOVING)
