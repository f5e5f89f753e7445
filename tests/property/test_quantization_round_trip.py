"""What holds for every weight: the error bound, the code range, block independence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from webslm.model.weights.format import BF16, CODE_BITS
from webslm.model.weights.quantization import dequantize, from_bf16, quantize, to_bf16
from webslm.schema import QuantConf

FORMATS = st.builds(
    lambda bits, groups, kind: QuantConf(
        name="any",
        bits=bits,
        group_size=groups * (32 // bits),
        dtype=kind[0],
        scale_encoding=kind[1],
    ),
    st.sampled_from(CODE_BITS),
    st.integers(1, 8),
    st.sampled_from([("float32", "raw"), ("float32", BF16), ("float16", "raw")]),
)
WEIGHTS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 100)),
    elements=st.floats(-1000, 1000, width=32),
)


@settings(deadline=None)
@given(weight=WEIGHTS, quant=FORMATS)
def test_dequantize_is_within_half_a_step(
    weight: npt.NDArray[np.float32], quant: QuantConf
) -> None:
    codes, scales = quantize(weight, quant)
    values = dequantize(codes, scales, weight.shape[1], quant)
    middle = (1 << (quant.bits - 1)) - 1
    steps = np.repeat(scales.astype(np.float64), quant.group_size, axis=1)[:, : weight.shape[1]]
    # A stored scale may be rounded down, and the largest weight is then cut off: by at most the
    # rounding (2**-9 for bfloat16, 2**-11 for float16, and each type's smallest step below that).
    smallest = 2**-24 if quant.dtype == "float16" else 2.0**-133
    cut = middle * steps * 2**-8 + middle * smallest
    assert np.all(np.abs(values - weight) <= steps / 2 + cut + 1e-4 * steps)


@settings(deadline=None)
@given(weight=WEIGHTS, quant=FORMATS, cut=st.integers(0, 5))
def test_quantize_rows_are_independent(
    weight: npt.NDArray[np.float32], quant: QuantConf, cut: int
) -> None:
    whole = quantize(weight, quant)
    upper, lower = quantize(weight[:cut], quant), quantize(weight[cut:], quant)
    for part in (0, 1):
        assert np.array_equal(whole[part], np.concatenate([upper[part], lower[part]]))


@settings(deadline=None)
@given(weight=WEIGHTS, quant=FORMATS)
def test_quantize_keeps_sign_and_zero(weight: npt.NDArray[np.float32], quant: QuantConf) -> None:
    values = dequantize(*quantize(weight, quant), weight.shape[1], quant)
    assert not np.any(values[weight == 0])
    assert np.all(values * weight >= 0)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32, max_value=2**100))
def test_bf16_is_the_nearest_upper_half(value: float) -> None:
    import ml_dtypes

    exact = np.array([value], dtype=np.float32)
    expected = exact.astype(ml_dtypes.bfloat16).astype(np.float32)
    assert from_bf16(to_bf16(exact))[0] == expected[0]
