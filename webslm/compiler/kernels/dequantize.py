"""Own how a kernel makes a value of a weight's code: a format's rule as an expression. No Relax."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from webslm.model.weights.format import Format


def centred(word: Any, place: Any, form: Format, dtype: str = "float32") -> Any:
    """Return a code less the format's middle, in ``dtype``: what the group's scale multiplies.

    Args:
        word: uint32 expression, ``codes_per_word`` codes.
        place: Which of them; 0 lies in the lowest bits.
        form: A format with ``bits`` > 0.
        dtype: Type of the result.
    """
    shift = tirx.Cast("uint32", place * form.quant.bits)
    code = tirx.bitwise_and(tirx.shift_right(word, shift), tirx.const(form.mask, "uint32"))
    return tirx.Cast(dtype, code) - tirx.const(form.middle, dtype)
