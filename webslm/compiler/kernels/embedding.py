"""Own the embedding lookup, and how an element of a weight is read. Emit no Relax.

A quantized weight is never written out: codes become values inside the kernel that needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import te, tirx

from webslm.compiler.kernels.dequantize import centred
from webslm.model.weights.format import Format
from webslm.schema import QuantConf


def plain_value(weight: Any) -> Callable[[Any, Any], Any]:
    """Return the element reader of a weight kept as it is."""
    return lambda row, column: weight[row, column]


def dequantized_value(codes: Any, scales: Any, quant: QuantConf) -> Callable[[Any, Any], Any]:
    """Return the element reader of a quantized weight (``dequantize.py``)."""
    form = Format(quant)
    per_word = form.codes_per_word

    def value(row: Any, column: Any) -> Any:
        word = codes[row, column // per_word]
        scale = scales[row, column // quant.group_size]
        return centred(word, column % per_word, form, quant.dtype) * scale

    return value


def lookup(
    inputs: Sequence[Any],
    columns: int,
    quant: QuantConf,
    *,
    quantized: bool,
    scale: float = 1.0,
    dtype: str | None = None,
) -> Any:
    """Return rows: ids int32 [n], then a table or its codes and scales -> scale * [n, columns].

    ``dtype`` is the type of the rows; the format's when None.
    """
    ids, *table = inputs
    value = dequantized_value(table[0], table[1], quant) if quantized else plain_value(table[0])

    def row(i: Any, c: Any) -> Any:
        found = value(ids[i], c)
        if scale != 1.0:
            # The factor is rounded to the format's type, as it is where the model is trained.
            found = found * tirx.const(scale, quant.dtype)
        return found.astype(dtype or quant.dtype)

    return te.compute((ids.shape[0], columns), row, name="embedding")
