"""Own rounding to a weight format in torch: what ``quantization`` packs and unpacks, in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webslm.model.weights.format import BF16, Format
from webslm.model.weights.quantization import BLOCK_BYTES
from webslm.schema import QuantConf

if TYPE_CHECKING:
    from torch import Tensor


def rounded(weight: Tensor, quant: QuantConf) -> Tensor:
    """Return what a format keeps of a weight, equal to ``dequantize(*quantize(weight))``.

    Args:
        weight: [n, K] float32, finite.
        quant: A format with ``bits`` > 0.
    """
    import torch

    made = torch.empty_like(weight)
    step = max(1, BLOCK_BYTES // max(1, weight.shape[1] * 4))
    for start in range(0, weight.shape[0], step):
        made[start : start + step] = _block(weight[start : start + step], quant)
    return made


def _block(weight: Tensor, quant: QuantConf) -> Tensor:
    import torch

    rows, columns = weight.shape
    form = Format(quant)
    groups = form.num_groups(columns)
    spare = groups * quant.group_size - columns
    grouped = torch.nn.functional.pad(weight, (0, spare)) if spare else weight
    grouped = grouped.reshape(rows, groups, quant.group_size)
    middle = form.middle
    low, high = torch.aminmax(grouped, dim=2, keepdim=True)
    scales = torch.maximum(high, -low).div_(middle)
    kind = torch.bfloat16 if quant.scale_encoding == BF16 else getattr(torch, quant.dtype)
    scales = scales.to(kind).float()
    work = grouped / torch.where(scales == 0, torch.ones_like(scales), scales)
    work = work.add_(middle).round_().clamp_(0, 2 * middle).sub_(middle).mul_(scales)
    if quant.dtype == "float16":
        work = work.half().float()
    return work.reshape(rows, -1)[:, :columns]
