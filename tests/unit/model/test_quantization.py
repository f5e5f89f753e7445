"""The group rule against numbers worked out by hand, and what each format stores."""

from __future__ import annotations

import numpy as np
import pytest

from webslm.basics.errors import ConfigError
from webslm.model.architectures.weight_maps import Parameter
from webslm.model.weights.format import BF16, RAW, Format, StoredTensor
from webslm.model.weights.quantization import dequantize, from_bf16, quantize, to_bf16
from webslm.schema import QuantConf

Q4F32 = QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding=BF16)
Q4F32_RAW = QuantConf(name="q4f32_raw", bits=4, dtype="float32")
Q4F16 = QuantConf(name="q4f16_1", bits=4, dtype="float16")
Q0F32 = QuantConf(name="q0f32", bits=0, dtype="float32")
LINEAR = Parameter(name="model.up.weight", shape=(3, 40), sources=("up",), quantize=True)
NORM = Parameter(name="model.norm.weight", shape=(40,), sources=("norm",))


def codes_of(words: np.ndarray) -> list[int]:
    """Read codes the slow way: lowest nibble of each word first."""
    return [(int(word) >> (4 * place)) & 15 for word in words for place in range(8)]


def test_stored_tensors_names_shapes_and_encodings() -> None:
    assert Format(Q4F32).tensors(LINEAR) == [
        StoredTensor(name="model.up.q_weight", shape=(3, 8), dtype="uint32", encoding=RAW),
        StoredTensor(name="model.up.q_scale", shape=(3, 2), dtype="float32", encoding=BF16),
    ]
    assert [t.nbytes for t in Format(Q4F32).tensors(LINEAR)] == [3 * 8 * 4, 3 * 2 * 2]
    assert Format(Q4F16).tensors(LINEAR)[1].dtype == "float16"


def test_stored_tensors_keeps_what_is_not_quantized_raw_in_dtype() -> None:
    for quant in (Q4F32, Q0F32):
        assert Format(quant).tensors(NORM) == [
            StoredTensor(name="model.norm.weight", shape=(40,), dtype="float32", encoding=RAW)
        ]
    assert Format(Q0F32).tensors(LINEAR)[0].name == "model.up.weight"
    assert Format(Q4F16).tensors(NORM)[0].dtype == "float16"


def test_lower_peak_clips_the_largest_and_rounds_the_others_finer() -> None:
    weight = np.zeros((2, 32), dtype=np.float32)
    weight[:, :4] = [14.0, 7.4, 3.4, -14.0]
    peaks = np.array([[14.0], [7.0]], dtype=np.float32)
    words, scales = quantize(weight, Q4F32_RAW, peaks)
    assert scales.tolist() == [[2.0], [1.0]]
    kept = dequantize(words, scales, 32, Q4F32_RAW)
    assert kept[:, :4].tolist() == [[14.0, 8.0, 4.0, -14.0], [7.0, 7.0, 3.0, -7.0]]
    plain = quantize(weight, Q4F32)
    given = quantize(weight, Q4F32, np.full((2, 1), 14.0, dtype=np.float32))
    assert all(np.array_equal(one, other) for one, other in zip(plain, given, strict=True))


def test_quantize_packs_lowest_nibble_first() -> None:
    # Scale is exactly 1 (the largest magnitude is 7), so codes are the weights plus 7.
    weight = np.zeros((1, 32), dtype=np.float32)
    weight[0, :9] = [-7, -6, -5, -4, -3, -2, -1, 0, 7]
    words, scales = quantize(weight, Q4F32_RAW)
    assert scales.tolist() == [[1.0]]
    assert words[0, 0] == 0x76543210
    assert words[0, 1] == 0x7777777E
    assert words.dtype == np.uint32


@pytest.mark.parametrize(("value", "code"), [(0.5, 8), (-0.5, 6), (1.5, 8), (2.5, 10), (-1.5, 6)])
def test_quantize_rounds_half_to_even_after_the_shift(value: float, code: int) -> None:
    weight = np.zeros((1, 32), dtype=np.float32)
    weight[0, :2] = [7, value]
    assert codes_of(quantize(weight, Q4F32_RAW)[0][0])[1] == code


def test_quantize_all_zero_group_has_scale_zero_and_means_zero() -> None:
    weight = np.zeros((2, 64), dtype=np.float32)
    weight[1, 40] = 3.5
    words, scales = quantize(weight, Q4F32)
    assert scales[0].tolist() == [0.0, 0.0]
    assert scales[1].tolist() == [0.0, 0.5]
    assert np.array_equal(dequantize(words, scales, 64, Q4F32), weight)


def test_quantize_pads_a_row_that_does_not_fill_its_last_group_with_code_zero() -> None:
    weight = np.full((1, 40), 7, dtype=np.float32)
    words, scales = quantize(weight, Q4F32_RAW)
    assert words.shape == (1, 8)
    assert scales.shape == (1, 2)
    assert codes_of(words[0]) == [14] * 40 + [0] * 24
    assert dequantize(words, scales, 40, Q4F32_RAW).shape == (1, 40)


def test_quantize_uses_the_scale_as_it_is_stored() -> None:
    # 1 / 7 is not a bfloat16: 6.5 exact scales away, but less than 6.5 of the larger stored one.
    exact = np.float32(1) / np.float32(7)
    stored = from_bf16(to_bf16(np.array([exact], dtype=np.float32)))[0]
    assert stored != exact
    between = (6.5 * exact + 6.5 * stored) / 2
    weight = np.zeros((1, 32), dtype=np.float32)
    weight[0, :2] = [1, between]
    rounded, scales = quantize(weight, Q4F32)
    precise, _ = quantize(weight, Q4F32_RAW)
    assert scales[0, 0] == stored
    assert codes_of(rounded[0])[1] != codes_of(precise[0])[1]


def test_quantize_float16_scale_that_vanishes_means_zero() -> None:
    weight = np.full((1, 32), 1e-9, dtype=np.float32)
    words, scales = quantize(weight, Q4F16)
    assert scales.dtype == np.float16
    assert scales[0, 0] == 0
    assert not dequantize(words, scales, 32, Q4F16).any()


def test_dequantize_float16_rounds_the_product_as_float16_arithmetic_does() -> None:
    scale = np.array([[np.float16(0.1)]], dtype=np.float16)
    words = np.full((1, 4), 0xEEEEEEEE, dtype=np.uint32)
    value = dequantize(words, scale, 32, Q4F16)[0, 0]
    assert value == np.float32(np.float16(7) * np.float16(0.1))
    assert value != np.float32(7) * np.float32(np.float16(0.1))


def test_bf16_rounds_to_nearest_even() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF], dtype=np.uint32)
    assert to_bf16(bits.view(np.float32)).tolist() == [0x3F80, 0x3F82, 0x3F81, 0x3F80]


def test_check_format_names_every_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        Format(QuantConf(name="x", bits=5, dtype="bfloat16", scale_encoding="f32-to-bf16")).check()
    keys = [message.split(":")[0] for message, _ in caught.value.problems]
    assert keys == ["quant.bits", "quant.dtype", "quant.scale_encoding"]
    with pytest.raises(ConfigError, match=r"quant\.group_size"):
        Format(QuantConf(name="x", bits=4, group_size=12, dtype="float16")).check()
    for quant in (Q4F32, Q4F16, Q0F32):
        Format(quant).check()


def test_three_bits_pack_ten_codes_to_a_word_and_leave_its_top_bits_zero() -> None:
    quant = QuantConf(name="q3", bits=3, group_size=40, dtype="float32")
    weight = np.zeros((1, 45), dtype=np.float32)
    weight[0, :11] = [-3, -2, -1, 0, 1, 2, 3, -3, 3, 2, -2]
    weight[0, 40:] = [6, 4, 2, 0, -6]
    words, scales = quantize(weight, quant)
    assert words.shape == (1, 8)
    assert scales.tolist() == [[1.0, 2.0]]
    codes = [(int(word) >> (3 * place)) & 7 for word in words[0] for place in range(10)]
    assert codes[:11] == [0, 1, 2, 3, 4, 5, 6, 0, 6, 5, 1]
    assert codes[40:] == [6, 5, 4, 3, 0] + [0] * 35
    assert not (words >> np.uint32(30)).any()
    assert np.array_equal(dequantize(words, scales, 45, quant), weight)


def test_three_bits_store_what_they_say() -> None:
    quant = QuantConf(name="q3", bits=3, group_size=40, dtype="float16")
    parameter = Parameter(name="up.weight", shape=(5, 896), sources=("up",), quantize=True)
    codes, scales = Format(quant).tensors(parameter)
    assert (codes.shape, scales.shape) == ((5, 92), (5, 23))
    Format(quant).check()
    with pytest.raises(ConfigError, match=r"quant\.group_size"):
        Format(QuantConf(name="x", bits=3, group_size=32, dtype="float16")).check()
