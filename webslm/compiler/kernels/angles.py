"""Own sine and cosine as expressions, more exact than WGSL's. Emit no Relax."""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

QUARTER_TURN = (1.5703125, 4.837512969970703e-4, 7.549789948768648e-8)
"""Parts of pi / 2 so short that products with a count of turns are exact."""
SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)


def sine_and_cosine(angle: Any) -> tuple[Any, Any]:
    """Return sine and cosine of a float32 expression, 0 or more, to float32's own precision.

    WGSL promises 2^-11 within one turn and nothing beyond, which moves logits in the third digit.
    Reduction to a quarter turn in three parts (Cody and Waite 1980); polynomials of Cephes.
    """

    def const(value: float) -> Any:
        return tirx.const(value, "float32")

    turns = tirx.floor(angle * const(2 / math.pi) + const(0.5))
    rest = angle
    for part in QUARTER_TURN:
        rest = rest - turns * const(part)
    square = rest * rest
    sine = const(SINE[0])
    for factor in SINE[1:]:
        sine = sine * square + const(factor)
    sine = sine * square * rest + rest
    cosine = const(COSINE[0])
    for factor in COSINE[1:]:
        cosine = cosine * square + const(factor)
    cosine = cosine * square * square - square * const(0.5) + const(1.0)
    quarter = tirx.Cast("int32", turns) % 4
    odd = quarter % 2 == 1
    down = tirx.Select(quarter >= 2, const(-1.0), const(1.0))
    left = tirx.Select(tirx.any(quarter == 1, quarter == 2), const(-1.0), const(1.0))
    return down * tirx.Select(odd, cosine, sine), left * tirx.Select(odd, sine, cosine)
