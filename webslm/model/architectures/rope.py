"""Own the frequencies of rotary embeddings: a table per model, worked out before compilation.

Kernels read the table instead of raising powers, so that every kind of scaling is the same kernel.
Formulas: Su et al. 2021 (default), Chen et al. 2023 (linear), Llama 3.1's model card (llama3),
Ding et al. 2024 (longrope). No TVM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webslm.schema import RopeScalingConf, ShapeConf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class RopeTable:
    """What a rotation by position p needs: angle[i] = p * frequencies[row, i]."""

    frequencies: Float32
    """[1, r / 2], or [2, r / 2] where positions from ``switch`` on use the second row."""
    switch: int
    """First position of the second row; 0 where there is none."""
    amplitude: float
    """What cosine and sine are multiplied with."""

    @property
    def rotary_dim(self) -> int:
        """Return how many leading elements of a head are rotated."""
        return 2 * int(self.frequencies.shape[1])


def rope_table(shape: ShapeConf, *, local: bool = False) -> RopeTable:
    """Return the table of a shape's layers.

    Args:
        shape: The shape.
        local: For the layers with a sliding window, which may have a base of their own.
    """
    import numpy as np

    own = local and shape.rope_local_base_freq is not None
    theta = shape.rope_local_base_freq if own else shape.rope_theta
    rotary = int(shape.head_dim * shape.partial_rotary_factor)
    exponents = np.arange(0, rotary, 2, dtype=np.float64) / rotary
    plain = np.float64(theta or 1.0) ** -exponents
    scaling = RopeScalingConf() if own else shape.rope_scaling
    switch, amplitude, rows = 0, 1.0, [plain]
    if scaling.rope_type == "linear":
        rows = [plain / scaling.factor]
    elif scaling.rope_type == "llama3":
        rows = [_llama3(plain, scaling)]
    elif scaling.rope_type == "longrope":
        switch = int(scaling.original_max_position_embeddings or shape.max_position_embeddings)
        amplitude = _amplitude(shape, scaling, switch)
        rows = [plain / np.asarray(part) for part in (scaling.short_factor, scaling.long_factor)]
    elif scaling.rope_type != "default":
        raise ValueError(f"no rotary embedding of type {scaling.rope_type!r}")
    table = np.stack(rows).astype(np.float32)
    return RopeTable(frequencies=table, switch=switch, amplitude=amplitude)


def _llama3(plain: npt.NDArray[np.float64], scaling: RopeScalingConf) -> npt.NDArray[np.float64]:
    """Stretch long waves by ``factor``, keep short ones, blend between."""
    import numpy as np

    turns = float(scaling.original_max_position_embeddings or 8192) * plain / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    blended: npt.NDArray[np.float64] = plain * ((1 - kept) / scaling.factor + kept)
    return blended


def _amplitude(shape: ShapeConf, scaling: RopeScalingConf, original: int) -> float:
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    stretch = scaling.factor
    if stretch == 1.0:
        stretch = shape.max_position_embeddings / original
    return math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0
