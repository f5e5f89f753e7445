"""Own weights that mlc_llm packed: read, held against the checkpoint, written as webslm's shards.

Nothing of them is believed: every tensor of the weight map must be there once, in its shape and
type, and lose no more than twice what the format itself loses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics.errors import StageFailed
from webslm.basics.fs import write_text
from webslm.basics.model_files import OLD_TENSOR_INDEX, TENSOR_INDEX
from webslm.model.architectures.weight_maps import Parameter
from webslm.model.weights.checkpoint import Checkpoint
from webslm.model.weights.conversion import RoundTrip
from webslm.model.weights.format import Format, StoredTensor
from webslm.model.weights.quantization import dequantize, quantize
from webslm.model.weights.shards import ShardReader, ShardWriter
from webslm.schema import QuantConf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from webslm.model.weights.quantization import Float32

BF16_ERROR = 2.0**-8
"""Largest relative rounding error of a bfloat16, in which mlc_llm stores every float32."""


class PackedWeights:
    """A folder that ``mlc_llm convert_weight`` wrote."""

    def __init__(self, folder: Path, parameters: Sequence[Parameter], quant: QuantConf) -> None:
        """Read the index and compare the tensors' names with the weight map's.

        Raises:
            StageFailed: The folder is not readable, or names other tensors.
        """
        _respell_index(folder)
        self._reader = ShardReader(folder)
        self._quant = quant
        wanted = {tensor.name for item in parameters for tensor in Format(quant).tensors(item)}
        found = set(self._reader.names)
        if found != wanted:
            odd = sorted(wanted ^ found)
            state = "lacks" if odd[0] in wanted else "holds an unknown"
            raise StageFailed(
                f"mlc_llm convert_weight: its output {state} {odd[0]} ({len(odd)} in all)",
                hint="compiler=tvm, or an mlc_llm that knows this checkpoint",
            )

    def write(self, writer: ShardWriter, checkpoint: Checkpoint, parameter: Parameter) -> RoundTrip:
        """Append a parameter's tensors to webslm's shards; return what the packing costs.

        Raises:
            StageFailed: A tensor has another shape or type, or loses more than the format does.
        """
        tensors = Format(self._quant).tensors(parameter)
        arrays = [self._array(tensor) for tensor in tensors]
        error, own = self._errors(checkpoint, parameter, arrays)
        most = 2 * own.rms_relative + BF16_ERROR
        if not error.rms_relative <= most:
            raise StageFailed(
                f"mlc_llm convert_weight: {parameter.name} is off by {error.rms_relative:.3g} of "
                f"its size, {self._quant.name} costs {own.rms_relative:.3g}",
                hint="its packing is another one: compiler=tvm",
            )
        for tensor, array in zip(tensors, arrays, strict=True):
            writer.add(tensor, [array])
        return error

    def _array(self, tensor: StoredTensor) -> npt.NDArray[np.generic]:
        found = self._reader.describe(tensor.name)
        if (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
            raise StageFailed(
                f"mlc_llm convert_weight: {tensor.name} is {found.dtype}{list(found.shape)}, "
                f"webslm's libraries read {tensor.dtype}{list(tensor.shape)}",
                hint="its layout is another one: compiler=tvm",
            )
        return self._reader.read(tensor.name)

    def _errors(
        self,
        checkpoint: Checkpoint,
        parameter: Parameter,
        arrays: Sequence[npt.NDArray[Any]],
    ) -> tuple[RoundTrip, RoundTrip]:
        """Return what these tensors lose of the checkpoint, and what webslm's packing would."""
        quant, start = self._quant, 0
        error, own = RoundTrip(), RoundTrip()
        for source in parameter.sources:
            for block in checkpoint.blocks(source):
                rows = slice(start, start + block.shape[0])
                start += block.shape[0]
                parts = [array[rows] for array in arrays]
                error.add(block, _values(parts, parameter, quant))
                if Format(quant).rounds(parameter):
                    own.add(block, _values(quantize(block, quant), parameter, quant))
        return error, own


def _values(parts: Sequence[npt.NDArray[Any]], parameter: Parameter, quant: QuantConf) -> Float32:
    import numpy as np

    if not Format(quant).rounds(parameter):
        return parts[0].astype(np.float32)
    codes, scales = parts
    scales = scales.astype(quant.dtype, copy=False)
    return dequantize(codes.astype(np.uint32), scales, parameter.shape[1], quant)


def _respell_index(folder: Path) -> None:
    """Give an index its present name, and integers and halves the encoding they have.

    mlc_llm calls every record packed; only float32 is.
    """
    names = [name for name in (TENSOR_INDEX, OLD_TENSOR_INDEX) if (folder / name).is_file()]
    if not names:
        raise StageFailed(
            f"mlc_llm convert_weight: it ended well and wrote no {TENSOR_INDEX}",
            hint="read mlc_llm-convert_weight.log in the build's runs folder",
        )
    try:
        index = json.loads((folder / names[0]).read_text(encoding="utf-8"))
        for record in (record for shard in index["records"] for record in shard["records"]):
            if record["dtype"] != "float32":
                record["format"] = "raw"
    except (ValueError, KeyError, TypeError) as exc:
        raise StageFailed(f"unreadable {names[0]} of mlc_llm: {exc}") from exc
    write_text(folder / TENSOR_INDEX, json.dumps(index))
