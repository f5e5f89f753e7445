"""Own one parameter's way from a checkpoint into shards and back. Know no architecture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webslm.basics.errors import StageFailed
from webslm.model.architectures.weight_maps import Parameter
from webslm.model.weights.checkpoint import Checkpoint
from webslm.model.weights.format import Format
from webslm.model.weights.quantization import dequantize, quantize
from webslm.model.weights.shards import ShardReader, ShardWriter
from webslm.schema import QuantConf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from webslm.model.weights.quantization import Float32

    Blocks = Iterator[npt.NDArray[np.generic]]


@dataclass
class RoundTrip:
    """Difference between a parameter and what the library will compute with."""

    largest: float = 0.0
    squares: float = 0.0
    reference: float = 0.0

    def add(self, weights: Float32, stored: Float32) -> None:
        """Take a block's differences in."""
        import numpy as np

        difference = weights - stored
        self.largest = max(self.largest, float(np.abs(difference).max(initial=0.0)))
        self.squares += float(np.square(difference, out=difference).sum(dtype=np.float64))
        self.reference += float(np.square(weights).sum(dtype=np.float64))

    @property
    def rms_relative(self) -> float:
        """Return the root mean square of the differences over that of the weights."""
        return math.sqrt(self.squares / self.reference) if self.reference else 0.0


def write_parameter(
    writer: ShardWriter,
    checkpoint: Checkpoint,
    parameter: Parameter,
    quant: QuantConf,
    limits: Checkpoint | None = None,
) -> RoundTrip:
    """Append a parameter's tensors to the shards and return what the format costs.

    ``limits`` holds per quantized tensor the peaks of its groups, where they are not the largest
    weights; the cost counts what is clipped.

    Raises:
        StageFailed: A weight is not finite, or does not fit the format's type.
    """
    error = RoundTrip()
    tensors = Format(quant).tensors(parameter)
    weights = _weights(checkpoint, parameter)
    if Format(quant).rounds(parameter):
        scales: list[npt.NDArray[np.floating]] = []
        peaks = _peaks(limits, parameter)
        writer.add(tensors[0], _code_blocks(weights, peaks, parameter, quant, scales, error))
        writer.add(tensors[1], scales)
    else:
        writer.add(tensors[0], _cast_blocks(weights, parameter, quant, error))
    return error


def _weights(checkpoint: Checkpoint, parameter: Parameter) -> Iterator[Float32]:
    """Yield the parameter's rows; a number that is none is an error."""
    import numpy as np

    for source in parameter.sources:
        for block in checkpoint.blocks(source):
            if not np.isfinite(block).all():
                bad = int(block.size - np.isfinite(block).sum())
                raise StageFailed(
                    f"{source}: {bad} weights are NaN or infinite",
                    hint="the training diverged: lower lora.learning_rate",
                )
            yield block


def _peaks(limits: Checkpoint | None, parameter: Parameter) -> Float32 | None:
    """Return the peaks of all rows, [n, G]: one thirtieth of the weights, held at once."""
    import numpy as np

    if limits is None:
        return None
    return np.concatenate([b for source in parameter.sources for b in limits.blocks(source)])


def _code_blocks(
    weights: Iterator[Float32],
    peaks: Float32 | None,
    parameter: Parameter,
    quant: QuantConf,
    scales: list[npt.NDArray[np.floating]],
    error: RoundTrip,
) -> Blocks:
    """Yield codes; the scales and the error are kept aside until the codes are written."""
    row = 0
    for block in weights:
        given = None if peaks is None else peaks[row : row + len(block)]
        row += len(block)
        codes, block_scales = quantize(block, quant, given)
        _check_range(block_scales, parameter, quant)
        scales.append(block_scales)
        error.add(block, dequantize(codes, block_scales, block.shape[1], quant))
        yield codes


def _cast_blocks(
    weights: Iterator[Float32], parameter: Parameter, quant: QuantConf, error: RoundTrip
) -> Blocks:
    import numpy as np

    for block in weights:
        with np.errstate(over="ignore"):
            stored = block.astype(quant.dtype)
        _check_range(stored, parameter, quant)
        error.add(block, stored.astype(np.float32))
        yield stored


def _check_range(values: npt.NDArray[np.floating], parameter: Parameter, quant: QuantConf) -> None:
    import numpy as np

    if not np.isfinite(values).all():
        raise StageFailed(
            f"{parameter.name}: too large for {quant.dtype}",
            hint="choose a format with float32 activations, such as quant=q4f32_1",
        )


def read_parameter(reader: ShardReader, parameter: Parameter, quant: QuantConf) -> Float32:
    """Return a parameter as float32 [*shape]: the values the library computes with.

    Raises:
        StageFailed: The shards hold another shape or format.
    """
    import numpy as np

    tensors = Format(quant).tensors(parameter)
    for tensor in tensors:
        found = reader.describe(tensor.name)
        if found != tensor:
            raise StageFailed(f"{tensor.name}: stored as {found}, the format says {tensor}")
    arrays = [reader.read(tensor.name) for tensor in tensors]
    if Format(quant).rounds(parameter):
        codes, scales = arrays
        return dequantize(
            codes.astype(np.uint32, copy=False),
            scales.astype(quant.dtype, copy=False),
            parameter.shape[1],
            quant,
        )
    return arrays[0].astype(np.float32, copy=False)
