"""Own what an architecture's layers ask of whatever writes them down, so that none imports TVM."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

Value: TypeAlias = Any
"""A Relax expression (TVM has no types for checkers)."""


class Emitter(Protocol):
    """Writes one function's layers; names are stems of parameters, without ``.weight``."""

    def embedding(self, ids: Value, stem: str, *, scale: float = 1.0) -> Value:
        """Write a lookup: int32 ids [n] -> [n, H], times ``scale``."""

    def linear(
        self,
        x: Value,
        stem: str,
        *,
        norm: str | None = None,
        residual: Value = None,
        gated: bool = False,
        cap: float | None = None,
        dtype: str | None = None,
    ) -> Value:
        """Write a projection of ``x`` after ``norm``: [1, n, K] -> [1, n, N], plus ``residual``."""

    def norm(self, x: Value, stem: str, *, residual: Value = None) -> Value:
        """Write an RMS norm over the last axis, plus ``residual``."""

    def last_row(self, x: Value) -> Value:
        """Write the choice of the last position: [1, n, H] -> [1, 1, H]."""

    def attention(self, layer: int, qkv: Value, *, norms: tuple[str, str] | None = None) -> Value:
        """Write attention over the cache: [1, n, Q + 2 KV] -> [1, n, Q]."""
