"""The sampling kernels the browser runs, run serially on the CPU; and what they must say."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm

from tests.built_kernels import built_for
from webslm.compiler.kernels import nucleus, nucleus_draw


def tensor(values: Any, dtype: str) -> Any:
    """Return values as a tensor of this machine."""
    return tvm.runtime.tensor(np.asarray(values, dtype=dtype))


def masses(probabilities: np.ndarray) -> np.ndarray:
    """Return the first kernel's masses of one row [V]."""
    size = probabilities.size
    found = tensor(np.zeros((nucleus.num_tiles(size), nucleus.COLUMNS)), "float32")
    built_for(nucleus.masses, size)(tensor(probabilities[None], "float32"), found)
    result: np.ndarray = found.numpy()
    return result


def draw(
    probabilities: np.ndarray, uniform: float, top_p: float, found: np.ndarray | None = None
) -> int:
    """Return the token that both kernels choose from one row [V]."""
    token = tensor([-2], "int32")
    built_for(nucleus_draw.draw, probabilities.size)(
        tensor(probabilities[None], "float32"),
        tensor(masses(probabilities) if found is None else found, "float32"),
        tensor([uniform], "float32"),
        tensor([top_p], "float32"),
        token,
    )
    return int(token.numpy()[0])


def softened(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities [V] of logits [V], computed in float64."""
    wide = logits.astype(np.float64) / temperature
    shares = np.exp(wide - wide.max())
    result: np.ndarray = shares / shares.sum()
    return result


def nucleus_shares(probabilities: np.ndarray, top_p: float) -> np.ndarray:
    """Return each token's share [V] by the definition: sort, cut at top_p, divide by the mass."""
    order = np.argsort(-probabilities, kind="stable")
    sums = np.cumsum(probabilities[order])
    kept = order[: min(int(np.searchsorted(sums, top_p)) + 1, order.size)]
    shares = np.zeros(probabilities.size)
    shares[kept] = probabilities[kept] / probabilities[kept].sum()
    return shares
