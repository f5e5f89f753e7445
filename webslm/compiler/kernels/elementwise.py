"""Own the kernels between the linear layers: normalisation, gate, last row. Emit no Relax."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

ACCUMULATOR = "float32"


def rms_norm(x: Any, weight: Any, epsilon: float) -> Any:
    """Divide x [1, n, H] by its root mean square over H and multiply with weight [H]."""
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
        value = x[b, i, c].astype(ACCUMULATOR) * scale * weight[c].astype(ACCUMULATOR)
        return value.astype(x.dtype)

    return te.compute(x.shape, normalise, name="rms_norm")


def swiglu(x: Any) -> Any:
    """Return silu(gate) * up of x [1, n, 2 I], whose first half is the gate -> [1, n, I]."""
    half = x.shape[2] // 2

    def gated(b: Any, i: Any, c: Any) -> Any:
        gate = x[b, i, c].astype(ACCUMULATOR)
        up = x[b, i, c + half].astype(ACCUMULATOR)
        one = tirx.const(1.0, ACCUMULATOR)
        return (gate / (one + tirx.exp(-gate)) * up).astype(x.dtype)

    return te.compute((x.shape[0], x.shape[1], half), gated, name="swiglu")


def last_row(x: Any) -> Any:
    """Return x[:, n - 1:, :] of x [1, n, H]."""
    last = x.shape[1] - 1
    return te.compute(
        (x.shape[0], 1, x.shape[2]), lambda b, i, c: x[b, i + last, c], name="last_row"
    )
