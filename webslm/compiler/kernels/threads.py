"""Own the two ways a kernel's threads run: as GPU threads, or one after the other on a CPU.

A hand-written kernel is a sequence of phases: in each, all threads of a block do one loop, and
what passes from phase to phase lies in shared memory. Then serial loops compute the same, which is
how the native build and the tests run the very kernels that the browser runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm.script import tirx


@dataclass(frozen=True)
class Threads:
    """How a kernel's block and thread loops are bound and where its buffers lie."""

    bind: Callable[..., Any]
    shared: str
    private: str
    """Where a thread keeps what a later phase needs: ``copies`` rows, of which its own is
    t % copies."""
    on_gpu: bool

    def copies(self, count: int) -> int:
        """Return how many rows a private buffer of ``count`` threads has: on a GPU, its own."""
        return 1 if self.on_gpu else count


def _serial(extent: Any, *, thread: str) -> Any:
    del thread
    return tirx.serial(extent)


GPU = Threads(tirx.thread_binding, "shared", "local", on_gpu=True)
CPU = Threads(_serial, "global", "global", on_gpu=False)


def threads(target: Any) -> Threads:
    """Return how a TVM target runs threads."""
    return CPU if target.kind.name == "llvm" else GPU
