"""Own the kernels that read weights: linear layers and the embedding lookup. Emit no Relax.

A quantized weight is never written out: codes become values inside the kernel that needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from webslm.schema import QuantConf

WORD_BITS = 32
ACCUMULATOR = "float32"


@dataclass(frozen=True, kw_only=True)
class Epilogue:
    """What is added to a product before it is stored."""

    bias: bool = False
    residual: bool = False
    dtype: str = ACCUMULATOR
    """Type of the result."""


def plain_value(weight: Any) -> Callable[[Any, Any], Any]:
    """Return the element reader of a weight kept as it is."""
    return lambda row, column: weight[row, column]


def dequantized_value(codes: Any, scales: Any, quant: QuantConf) -> Callable[[Any, Any], Any]:
    """Return the element reader of a quantized weight (rule: ``quantization.py``)."""
    per_word = WORD_BITS // quant.bits
    mask = tirx.const((1 << quant.bits) - 1, "uint32")
    middle = tirx.const((1 << (quant.bits - 1)) - 1, quant.dtype)

    def value(row: Any, column: Any) -> Any:
        shift = tirx.Cast("uint32", column % per_word * quant.bits)
        code = tirx.bitwise_and(codes[row, column // per_word] >> shift, mask)
        return (tirx.Cast(quant.dtype, code) - middle) * scales[row, column // quant.group_size]

    return value


def linear(inputs: Sequence[Any], quant: QuantConf, *, quantized: bool, epilogue: Epilogue) -> Any:
    """Compute x W^T (+ bias) (+ residual), accumulated in float32.

    Args:
        inputs: x [1, n, K], then W [N, K] or codes and scales, then bias [N] and residual
            [1, n, N] where ``epilogue`` has them.
        quant: The weight format.
        quantized: Whether it applies to W.
        epilogue: What is added to the product.
    """
    x, *rest = inputs
    weight, rows, rest = _weight_stage(rest, x.shape[2], quant, quantized=quantized)
    k = te.reduce_axis((0, x.shape[2]), name="k")
    product = te.compute(
        (x.shape[0], x.shape[1], rows),
        lambda b, i, o: te.sum(
            x[b, i, k].astype(ACCUMULATOR) * weight[o, k].astype(ACCUMULATOR), axis=k
        ),
        name="product",
    )
    if not epilogue.bias and not epilogue.residual and epilogue.dtype == ACCUMULATOR:
        return product
    return te.compute(
        product.shape,
        lambda b, i, o: _finish(product, rest, epilogue, b, i, o),
        name="linear",
    )


def embedding(
    inputs: Sequence[Any],
    columns: int,
    quant: QuantConf,
    *,
    quantized: bool,
    scale: float = 1.0,
) -> Any:
    """Look up rows: ids int32 [n], then the table as in ``linear`` -> scale * [n, columns]."""
    ids, *table = inputs
    value = dequantized_value(table[0], table[1], quant) if quantized else plain_value(table[0])

    def row(i: Any, c: Any) -> Any:
        found = value(ids[i], c)
        if scale != 1.0:
            # The factor is rounded to the format's type, as it is where the model is trained.
            found = found * tirx.const(scale, quant.dtype)
        return found.astype(quant.dtype)

    return te.compute((ids.shape[0], columns), row, name="embedding")


def _weight_stage(
    rest: list[Any], columns: Any, quant: QuantConf, *, quantized: bool
) -> tuple[Any, Any, list[Any]]:
    if not quantized:
        return rest[0], rest[0].shape[0], rest[1:]
    codes, scales, *others = rest
    value = dequantized_value(codes, scales, quant)
    # A stage of its own: the schedule rules inline it into the loads of the product.
    stage = te.compute((codes.shape[0], columns), value, name="dequantize")
    return stage, codes.shape[0], others


def _finish(product: Any, rest: list[Any], epilogue: Epilogue, b: Any, i: Any, o: Any) -> Any:
    result = product[b, i, o]
    if epilogue.bias:
        result = result + rest[0][o].astype(ACCUMULATOR)
    if epilogue.residual:
        result = result + rest[-1][b, i, o].astype(ACCUMULATOR)
    return result.astype(epilogue.dtype)
