"""Rounding in torch is what packing and unpacking does, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from webslm.model.weights.quantization import dequantize, quantize
from webslm.model.weights.rounding import rounded
from webslm.schema import QuantConf

FORMATS = [
    QuantConf(name="q4f32_1", bits=4, group_size=32, dtype="float32", scale_encoding="f32-to-bf16"),
    QuantConf(name="q4f16_1", bits=4, group_size=32, dtype="float16"),
    QuantConf(name="q8f32_1", bits=8, group_size=32, dtype="float32"),
    QuantConf(name="q3f16_1", bits=3, group_size=40, dtype="float16"),
]


@pytest.mark.parametrize("quant", FORMATS, ids=lambda quant: quant.name)
@pytest.mark.parametrize("columns", [320, 96, 33])
def test_equals_what_convert_stores(quant: QuantConf, columns: int) -> None:
    weight = np.random.default_rng(columns).normal(0, 0.05, (24, columns)).astype(np.float32)
    weight[3] = 0
    weight[4, :5] = 1e-30
    expected = dequantize(*quantize(weight, quant), columns, quant)
    made = rounded(torch.from_numpy(weight.copy()), quant).numpy()
    # Signed zeros compare equal; nothing else may differ.
    np.testing.assert_array_equal(made, expected)
