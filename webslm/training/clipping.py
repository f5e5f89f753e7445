"""Own the search for the peaks of weight groups: a few weights clipped, the others rounded finer.

Weight clipping as in AWQ (arXiv:2306.00978): each group of a row takes the share of its largest
weight with which its part of the row's output errs least. This module knows no format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Clipped = Callable[["np.ndarray", "np.ndarray"], "np.ndarray"]
"""Float32 [n, K] and the peaks of its groups [n, G] to what a format keeps."""
SHARES = tuple(1 - step / 20 for step in range(11))
"""Shares of the largest weight tried; 1 is plain rounding."""
BLOCK = 1 << 21
"""Weights worked on at once."""


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """What was chosen for a weight, and the squared error of its groups' outputs."""

    peaks: Tensor
    """[n, G]."""
    clipped: float
    """Share of the groups whose peak is lower than their largest weight."""
    plain_error: float
    error: float


def search(weight: Tensor, inputs: Tensor | None, clipped: Clipped, group_size: int) -> Peaks:
    """Return the peaks of a weight's groups.

    Args:
        weight: [n, K] float32.
        inputs: What it reads, [tokens, K]; None: every channel counts alike (a table of rows).
        clipped: The weight format.
        group_size: Inputs that share a peak; the last group may be partly filled.
    """
    import torch

    moments = None
    if inputs is not None:
        parts = _grouped(inputs, group_size).transpose(0, 1)
        moments = parts.transpose(1, 2) @ parts
    step = max(1, BLOCK // weight.shape[1])
    found = [
        _block(weight[at : at + step], moments, clipped, group_size)
        for at in range(0, len(weight), step)
    ]
    peaks = torch.cat([block[0] for block in found])
    return Peaks(
        peaks=peaks,
        clipped=sum(block[1] for block in found) / peaks.numel(),
        plain_error=sum(block[2] for block in found),
        error=sum(block[3] for block in found),
    )


def _block(
    weight: Tensor, moments: Tensor | None, clipped: Clipped, group_size: int
) -> tuple[Tensor, int, float, float]:
    """Return peaks [n, G], the number of groups clipped, and the error before and after."""
    import torch

    largest = _grouped(weight, group_size).abs().amax(-1)
    chosen = largest.clone()
    plain = least = torch.full_like(largest, float("inf"))
    for share in SHARES:
        peaks = largest * share
        kept = torch.from_numpy(clipped(weight.numpy(), peaks.numpy()))
        apart = _grouped(kept - weight, group_size)
        error = _error(apart, moments)
        plain = error if share == SHARES[0] else plain
        better = error < least
        chosen, least = torch.where(better, peaks, chosen), torch.where(better, error, least)
    return chosen, int((chosen < largest).sum()), float(plain.sum()), float(least.sum())


def _error(apart: Tensor, moments: Tensor | None) -> Tensor:
    """Return the squared error of each group's output: apart [n, G, size] -> [n, G]."""
    if moments is None:
        return apart.square().sum(-1)
    weighted = (apart.transpose(0, 1) @ moments).transpose(0, 1)
    return (weighted * apart).sum(-1)


def _grouped(values: Tensor, group_size: int) -> Tensor:
    """Return [n, K] as [n, G, size], filled with zeros."""
    import torch

    rows, columns = values.shape
    missing = -columns % group_size
    return torch.nn.functional.pad(values, (0, missing)).view(rows, -1, group_size)
