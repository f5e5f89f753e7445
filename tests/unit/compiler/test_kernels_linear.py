"""The linear kernels and the attention merge, run serially and held against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm

from tests.built_kernels import built
from webslm.compiler.kernels.gemv import Gemv, gemv
from webslm.compiler.kernels.matmul import Matmul, matmul
from webslm.compiler.kernels.merge import merge_attention
from webslm.compiler.kernels.threads import CPU
from webslm.model.weights.quantization import dequantize, quantize
from webslm.schema import QuantConf

PLAIN = QuantConf(name="q0f32", bits=0, dtype="float32")
FOUR = QuantConf(name="q4f32_1", bits=4, dtype="float32")
THREE = QuantConf(name="q3f32", bits=3, group_size=40, dtype="float32")
EIGHT = QuantConf(name="q8f32", bits=8, dtype="float32")
HALF = QuantConf(name="q4f16_1", bits=4, dtype="float16")


def run(plan: Gemv, quant: QuantConf, arrays: dict[str, np.ndarray]) -> np.ndarray:
    x = tvm.runtime.tensor(arrays["x"])
    given = {name: tvm.runtime.tensor(array) for name, array in arrays.items()}
    out = tvm.runtime.tensor(np.zeros((1, 1, plan.rows), plan.dtype))
    names = ("gain", "weight", "scales", "bias", "residual")
    built(gemv(plan, quant, CPU))(x, *(given.get(name, x) for name in names), out)
    found: np.ndarray = out.numpy().reshape(-1).astype(np.float64)
    return found


@pytest.mark.parametrize(
    "quant", [PLAIN, THREE, FOUR, EIGHT, HALF], ids=lambda quant: str(quant.name)
)
@pytest.mark.parametrize(("rows", "columns"), [(64, 128), (37, 100), (5, 896), (1, 32), (9, 4864)])
@pytest.mark.parametrize("gated", [False, True])
def test_gemv_equals_numpy(quant: QuantConf, rows: int, columns: int, gated: bool) -> None:
    rng = np.random.default_rng(rows)
    dtype = quant.dtype
    weight = rng.normal(0, 0.3, (rows * (2 if gated else 1), columns)).astype(np.float32)
    arrays = {
        "x": rng.normal(0, 2, (1, 1, columns)).astype(dtype),
        "gain": rng.normal(1, 0.1, columns).astype(dtype),
        "bias": rng.normal(0, 1, rows).astype(dtype),
        "residual": rng.normal(0, 1, (1, 1, rows)).astype(dtype),
    }
    if quant.bits:
        arrays["weight"], scales = quantize(weight, quant)
        arrays["scales"] = scales
        weight = dequantize(arrays["weight"], scales, columns, quant)
    else:
        arrays["weight"] = weight
    plan = Gemv(
        rows=rows,
        columns=columns,
        quantized=quant.bits > 0,
        epsilon=1e-6,
        gated=gated,
        bias=not gated,
        residual=True,
        dtype="float32",
    )
    wide = {name: array.astype(np.float64).reshape(-1) for name, array in arrays.items()}
    normed = wide["x"] / np.sqrt(np.mean(wide["x"] ** 2) + 1e-6) * wide["gain"]
    expected = weight.astype(np.float64) @ normed
    if gated:
        gate, up = expected[:rows], expected[rows:]
        expected = gate / (1 + np.exp(-gate)) * up
    else:
        expected = expected + wide["bias"]
    expected = expected + wide["residual"]
    # The reference rounds each float16 weight; the kernel multiplies code and scale in float32.
    tolerance = 2e-5 if dtype == "float32" else 5e-3
    np.testing.assert_allclose(run(plan, quant, arrays), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "quant", [PLAIN, THREE, FOUR, EIGHT, HALF], ids=lambda quant: str(quant.name)
)
@pytest.mark.parametrize(("count", "rows", "columns"), [(3, 37, 100), (70, 40, 64), (2, 2050, 40)])
@pytest.mark.parametrize("extras", [False, True])
def test_matmul_equals_numpy(
    quant: QuantConf, count: int, rows: int, columns: int, extras: bool
) -> None:
    rng = np.random.default_rng(rows)
    weight = rng.normal(0, 0.3, (rows, columns)).astype(np.float32)
    x = rng.normal(0, 2, (1, count, columns)).astype(quant.dtype)
    bias = rng.normal(0, 1, rows).astype(quant.dtype)
    residual = rng.normal(0, 1, (1, count, rows)).astype(quant.dtype)
    stored: list[Any] = [weight, weight]
    if quant.bits:
        codes, scales = quantize(weight, quant)
        stored, weight = [codes, scales], dequantize(codes, scales, columns, quant)
    plan = Matmul(
        rows=rows,
        columns=columns,
        quantized=quant.bits > 0,
        bias=extras,
        residual=extras,
        dtype="float32",
    )
    if not extras:
        bias, residual = np.full_like(bias, np.nan), np.full_like(residual, np.nan)
    out = tvm.runtime.tensor(np.full((1, count, rows), np.nan, np.float32))
    given = [tvm.runtime.tensor(one) for one in (x, *stored, bias, residual)]
    built(matmul(plan, quant, CPU))(*given, out)
    expected = x[0].astype(np.float64) @ weight.astype(np.float64).T
    if extras:
        expected = expected + bias.astype(np.float64) + residual[0].astype(np.float64)
    tolerance = 2e-5 if quant.dtype == "float32" else 5e-3
    np.testing.assert_allclose(out.numpy()[0], expected, rtol=tolerance, atol=tolerance)


def test_gemv_reads_neither_gain_nor_residual_when_there_are_none() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.normal(0, 1, (1, 1, 48)).astype(np.float32),
        "weight": rng.normal(0, 1, (9, 48)).astype(np.float32),
        "gain": np.full(48, np.nan, np.float32),
        "residual": np.full((1, 1, 9), np.nan, np.float32),
    }
    plan = Gemv(rows=9, columns=48, quantized=False, dtype="float32")
    expected = arrays["weight"] @ arrays["x"].reshape(-1)
    np.testing.assert_allclose(run(plan, PLAIN, arrays), expected, rtol=1e-5, atol=1e-5)


def test_merge_equals_attention_over_both_key_sets() -> None:
    rng = np.random.default_rng(3)
    n, heads, dim = 5, 3, 8
    values = rng.normal(0, 1, (2, n, heads, dim)).astype(np.float32)
    lse = rng.normal(0, 6, (2, n, heads)).astype(np.float32)
    share = np.exp2(lse.astype(np.float64))
    total = share.sum(axis=0)
    expected = (values * share[..., None]).sum(axis=0) / total[..., None]
    given = [tvm.runtime.tensor(array) for array in (values[0], lse[0], values[1], lse[1])]
    built(merge_attention(heads, dim, "float32", CPU))(*given)
    np.testing.assert_allclose(given[0].numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(given[1].numpy(), np.log2(total), rtol=1e-5, atol=1e-5)
