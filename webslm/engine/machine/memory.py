"""Own how much memory this machine has to give, a stage takes, and how large a model is."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

from webslm.schema import Config

TICK_S = 0.1
CHILDREN_TICKS = 10
"""After how many ticks the started processes are looked for again: a list of all is read."""


def parameters(cfg: Config) -> int:
    """Return about how many parameters a shape has: embeddings, attention and MLP matrices."""
    shape = cfg.base.shape
    heads = 2 * (shape.num_attention_heads + shape.num_key_value_heads) * shape.head_dim
    layer = shape.hidden_size * (heads + 3 * shape.intermediate_size)
    tables = 1 if shape.tie_word_embeddings else 2
    return shape.num_hidden_layers * layer + tables * shape.vocab_size * shape.hidden_size


def available_memory() -> int:
    """Return the bytes that can be used without swapping."""
    return int(psutil.virtual_memory().available)


class PeakMemory:
    """The most resident memory, in bytes, of this process and all that it started, while entered.

    It is looked at ten times a second, at other processes once a second; what processes share is
    counted in each.
    """

    def __init__(self) -> None:
        """Look at nothing yet."""
        self.peak_bytes = 0
        self._own = psutil.Process()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        """Take the first look and go on in a thread."""
        self._look(self._children_bytes())
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the last look."""
        self._ended.set()
        self._thread.join()
        self._look(self._children_bytes())

    def _watch(self) -> None:
        ticks, others = 0, 0
        while not self._ended.wait(TICK_S):
            if ticks % CHILDREN_TICKS == 0:
                others = self._children_bytes()
            self._look(others)
            ticks += 1

    def _look(self, others: int) -> None:
        self.peak_bytes = max(self.peak_bytes, self._own.memory_info().rss + others)

    def _children_bytes(self) -> int:
        total = 0
        for child in self._own.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.Error:
                # It ended between the listing and the look, or is another user's.
                continue
        return total
