"""Own rounding weights to a format and back, in numpy. Do no I/O.

The rule, for a weight W[N, K], groups of ``group_size`` along K and M = 2**(bits-1) - 1 (7 for
4 bits): scale s = max|W| / M of a group; code q = clamp(round_half_even(W / s + M), 0, 2 M);
value (q - M) s.
A group's peak may be taken lower than its largest weight, which then is clipped (``peaks``).
Codes are made with the scale *as it is stored* (rounded to float16 or bfloat16 where the format
says so), so that what the library computes is exactly what ``dequantize`` returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webslm.model.weights.format import BF16, Format
from webslm.schema import QuantConf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Float32 = npt.NDArray[np.float32]
    UInt8 = npt.NDArray[np.uint8]
    UInt16 = npt.NDArray[np.uint16]
    UInt32 = npt.NDArray[np.uint32]

BLOCK_BYTES = 2 << 20
"""Weights worked on at once: small enough for a CPU cache, large enough for numpy."""


def quantize(
    weight: Float32, quant: QuantConf, peaks: Float32 | None = None
) -> tuple[UInt32, npt.NDArray[np.floating]]:
    """Quantize whole rows.

    Args:
        weight: [n, K] float32, finite; any number of rows, so that a caller may go in blocks.
        quant: A format with ``bits`` > 0.
        peaks: [n, G]; stands for max|W| of each group. None: the largest weight itself.

    Returns:
        Codes, uint32 [n, ``Format.num_words``], lowest bits first along K, padding codes 0;
        scales, ``quant.dtype`` [n, G], already rounded to what ``scale_encoding`` keeps
        (infinite where float16 cannot hold them: the caller must look).
    """
    import numpy as np

    rows, columns = weight.shape
    form = Format(quant)
    codes = np.empty((rows, form.num_words(columns)), dtype="<u4")
    scales = np.empty((rows, form.num_groups(columns)), dtype=quant.dtype)
    step = max(1, BLOCK_BYTES // max(1, columns * 4))
    for start in range(0, rows, step):
        block = slice(start, start + step)
        given = None if peaks is None else peaks[block]
        codes[block], scales[block] = _quantize_block(weight[block], form, given)
    return codes, scales


def dequantize(
    codes: UInt32, scales: npt.NDArray[np.floating], columns: int, quant: QuantConf
) -> Float32:
    """Return float32 [n, columns]: the values that the library multiplies with.

    The product is rounded to ``quant.dtype``, as the library's arithmetic does.
    """
    import numpy as np

    rows, groups = scales.shape
    form = Format(quant)
    values = _unpack(codes, form).reshape(rows, groups, quant.group_size).astype(np.float32)
    values -= np.float32(form.middle)
    values *= scales.astype(np.float32)[:, :, None]
    flat = values.reshape(rows, groups * quant.group_size)[:, :columns]
    if quant.dtype == "float16":
        flat = flat.astype(np.float16).astype(np.float32)
    return np.ascontiguousarray(flat)


def to_bf16(values: Float32) -> UInt16:
    """Return the upper halves of float32 values, rounded to nearest even; values are finite."""
    import numpy as np

    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    # Adding 0x7fff plus the lowest kept bit carries into the upper half exactly when the
    # lower half is above one half, or at one half with an odd upper half.
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1)))) >> 16
    return rounded.astype("<u2")


def from_bf16(halves: UInt16) -> Float32:
    """Return the float32 values whose upper halves are given."""
    import numpy as np

    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _quantize_block(
    weight: Float32, form: Format, peaks: Float32 | None
) -> tuple[UInt32, npt.NDArray[np.floating]]:
    import numpy as np

    quant = form.quant
    rows, columns = weight.shape
    groups = form.num_groups(columns)
    padded = groups * quant.group_size
    grouped = _pad_columns(weight, padded).reshape(rows, groups, quant.group_size)
    middle = np.float32(form.middle)
    if peaks is None:
        peaks = np.maximum(grouped.max(axis=2), -grouped.min(axis=2))
    scales = _round_scales(peaks / middle, quant)
    stored = scales.astype(np.float32)
    # A zero scale (all weights zero, or too small for the scale's type) makes every code mean 0;
    # dividing by one instead keeps the codes at the middle.
    divisors = np.where(stored == 0, np.float32(1), stored)
    work = grouped / divisors[:, :, None]
    work += middle
    np.rint(work, out=work)
    np.clip(work, 0, 2 * middle, out=work)
    codes = work.reshape(rows, padded).astype(np.uint8)
    codes[:, columns:] = 0
    return _pack(codes, form), scales


def _pad_columns(weight: Float32, padded: int) -> Float32:
    import numpy as np

    rows, columns = weight.shape
    if columns == padded:
        return np.ascontiguousarray(weight, dtype=np.float32)
    wide = np.zeros((rows, padded), dtype=np.float32)
    wide[:, :columns] = weight
    return wide


def _round_scales(scales: Float32, quant: QuantConf) -> npt.NDArray[np.floating]:
    import numpy as np

    if quant.scale_encoding == BF16:
        return from_bf16(to_bf16(scales))
    with np.errstate(over="ignore"):
        return scales.astype(quant.dtype)


def _pack(codes: UInt8, form: Format) -> UInt32:
    """Pack codes [n, K] into little-endian words, lowest bits first."""
    bits = form.quant.bits
    if 8 % bits:
        return _pack_words(codes, form)
    # Bytes first, where a byte holds whole codes: a quarter of the memory traffic.
    per_byte = 8 // bits
    packed = codes[:, 0::per_byte].copy()
    for place in range(1, per_byte):
        packed |= codes[:, place::per_byte] << (bits * place)
    return packed.view("<u4")


def _pack_words(codes: UInt8, form: Format) -> UInt32:
    import numpy as np

    bits, per_word = form.quant.bits, form.codes_per_word
    packed = codes[:, 0::per_word].astype("<u4")
    for place in range(1, per_word):
        packed |= codes[:, place::per_word].astype(np.uint32) << np.uint32(bits * place)
    return packed


def _unpack(words: UInt32, form: Format) -> UInt8:
    """Return the codes [n, K] of little-endian words."""
    import numpy as np

    bits = form.quant.bits
    # Units that hold whole codes: bytes where they do, else words.
    whole = np.ascontiguousarray(words, dtype="<u4")
    packed = whole if 8 % bits else whole.view(np.uint8)
    per_unit = form.codes_per_word if 8 % bits else 8 // bits
    codes = np.empty((packed.shape[0], packed.shape[1] * per_unit), dtype=np.uint8)
    for place in range(per_unit):
        codes[:, place::per_unit] = (packed >> (bits * place)) & form.mask
    return codes
