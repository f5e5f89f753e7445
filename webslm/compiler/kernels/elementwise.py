"""Own the kernels between the linear layers: normalisation, gate, last row. Emit no Relax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tvm import te, tirx

ACCUMULATOR = "float32"


STEEP = 15.0
"""tanh is one beyond this in float32; some devices overflow there instead."""


def activated(x: Any, kind: str) -> Any:
    """Return an activation of a float32 expression.

    Args:
        x: The expression.
        kind: ``silu`` or ``gelu_pytorch_tanh``, as in a config.json.
    """
    one = tirx.const(1.0, ACCUMULATOR)
    if kind == "silu":
        return x / (one + tirx.exp(-x))
    if kind == "gelu_pytorch_tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return x * (one + _tanh(inner)) * 0.5
    raise ValueError(f"no activation {kind!r}")


def soft_capped(x: Any, cap: float) -> Any:
    """Return cap * tanh(x / cap) of a float32 expression."""
    return _tanh(x / tirx.const(cap, ACCUMULATOR)) * tirx.const(cap, ACCUMULATOR)


def _tanh(x: Any) -> Any:
    steep = tirx.const(STEEP, ACCUMULATOR)
    return tirx.tanh(tirx.max(tirx.min(x, steep), -steep))


def rms_norm(inputs: Sequence[Any], epsilon: float, offset: float = 0.0) -> Any:
    """Divide x [1, n, H] by its root mean square over H; multiply with weight [H] + offset.

    Args:
        inputs: x, the weight, and, where there is one, what is added to the result.
        epsilon: Of the norm.
        offset: What is added to the weight.
    """
    x, weight, *rest = inputs
    size = x.shape[2]
    k = te.reduce_axis((0, size), name="k")
    squares = te.compute(
        (x.shape[0], x.shape[1]),
        lambda b, i: te.sum(
            x[b, i, k].astype(ACCUMULATOR) * x[b, i, k].astype(ACCUMULATOR), axis=k
        ),
        name="squares",
    )
    one = tirx.const(1.0 / int(size), ACCUMULATOR)
    eps = tirx.const(epsilon, ACCUMULATOR)

    def normalise(b: Any, i: Any, c: Any) -> Any:
        scale = tirx.rsqrt(squares[b, i] * one + eps)
        gain = weight[c].astype(ACCUMULATOR)
        if offset:
            gain = gain + tirx.const(offset, ACCUMULATOR)
        value = x[b, i, c].astype(ACCUMULATOR) * scale * gain
        for residual in rest:
            value = value + residual[b, i, c].astype(ACCUMULATOR)
        return value.astype(x.dtype)

    return te.compute(x.shape, normalise, name="rms_norm")


def gated(x: Any, activation: str) -> Any:
    """Return activation(gate) * up of x [1, n, 2 I], whose first half is the gate -> [1, n, I]."""
    half = x.shape[2] // 2

    def product(b: Any, i: Any, c: Any) -> Any:
        gate = x[b, i, c].astype(ACCUMULATOR)
        up = x[b, i, c + half].astype(ACCUMULATOR)
        return (activated(gate, activation) * up).astype(x.dtype)

    return te.compute((x.shape[0], x.shape[1], half), product, name="gated")


def last_row(x: Any) -> Any:
    """Return x[:, n - 1:, :] of x [1, n, H]."""
    last = x.shape[1] - 1
    return te.compute(
        (x.shape[0], 1, x.shape[2]), lambda b, i, c: x[b, i + last, c], name="last_row"
    )
