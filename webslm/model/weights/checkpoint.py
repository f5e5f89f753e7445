"""Own reading of Hugging Face checkpoint folders, in blocks of rows; know no architecture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from webslm.basics import model_files
from webslm.basics.errors import StageFailed
from webslm.model.architectures.weight_maps import Parameter
from webslm.model.weights.checkpoint_files import find_weights
from webslm.model.weights.safetensors_file import ITEM_BYTES, Tensor, read_header, read_rows

if TYPE_CHECKING:
    from webslm.model.weights.quantization import Float32

BLOCK_BYTES = 8 << 20
"""Float32 bytes read at once."""
NAMED = 3
"""Tensors of a kind that a sentence names."""
DESCRIBED = "config.json and weights are not of one save: fetch or save both again"
FOREIGN = "it is of another architecture, or still holds an adapter"


class Checkpoint:
    """The tensors of one folder: one ``model.safetensors``, or shards with their index."""

    def __init__(self, folder: Path) -> None:
        """Read the headers only.

        Raises:
            StageFailed: No weights, a broken header, or an index and shards that disagree.
        """
        self.folder = folder
        self.files = find_weights(folder)
        self.tensors: dict[str, Tensor] = {}
        for file_name in self.files.names:
            for name, tensor in read_header(folder / file_name).items():
                self._add(name, tensor, file_name)
        for name, file_name in (self.files.weight_map or {}).items():
            if name not in self.tensors:
                raise StageFailed(
                    f"{name}: {model_files.WEIGHTS_INDEX} says {file_name}, it is not there",
                    hint="fetch them again",
                )

    @property
    def paths(self) -> list[Path]:
        """Return the files that are read: the weights and their index, if they have one."""
        index = [] if self.files.weight_map is None else [model_files.WEIGHTS_INDEX]
        return [self.folder / name for name in (*self.files.names, *index)]

    @property
    def nbytes(self) -> int:
        """Return the size of all tensors in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def blocks(self, name: str, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Float32]:
        """Yield a tensor's rows in order as float32 [n, ...], about ``block_bytes`` at a time.

        Raises:
            StageFailed: No such tensor, a type that is no weight, or a file that ends early.
        """
        if name not in self.tensors:
            raise StageFailed(f"{name}: not in the checkpoint {self.folder}", hint=DESCRIBED)
        tensor = self.tensors[name]
        _check_type(name, tensor)
        rows = tensor.shape[0] if tensor.shape else 1
        step = max(1, block_bytes // (4 * max(1, tensor.row_elements)))
        for start in range(0, rows, step):
            yield read_rows(name, tensor, start, min(step, rows - start))

    def check(self, parameters: Sequence[Parameter], *, ignorable: Iterable[str] = ()) -> None:
        """Raise StageFailed unless every tensor makes exactly one parameter of the right shape.

        Args:
            parameters: The weight map.
            ignorable: Ends of tensor names that may be there without being used.
        """
        sources = [source for parameter in parameters for source in parameter.sources]
        twice = [source for source, count in Counter(sources).items() if count > 1]
        if twice:
            raise StageFailed(f"{min(twice)}: mapped to more than one parameter")
        wanted, endings = set(sources), tuple(ignorable)
        lost = sorted(wanted - set(self.tensors))
        extra = sorted(n for n in self.tensors if n not in wanted and not n.endswith(endings))
        shaped = [p for p in parameters if not set(p.sources) & set(lost) and not self._fits(p)]
        problems = [
            *([f"it lacks {_listed(lost)}"] if lost else []),
            *([f"nothing uses its {_listed(extra)}"] if extra else []),
            *(self._shapes(parameter) for parameter in shaped[:1]),
            *([f"and {len(shaped) - 1} more of other sizes"] if shaped[1:] else []),
        ]
        if problems:
            raise StageFailed(
                f"the checkpoint does not fit its description: {'; '.join(problems)}",
                hint=_way_out(lost, extra) or (DESCRIBED if lost or shaped else FOREIGN),
            )
        for source in sources:
            _check_type(source, self.tensors[source])

    def _fits(self, parameter: Parameter) -> bool:
        shapes = [self.tensors[source].shape for source in parameter.sources]
        rows = sum(shape[0] if shape else 1 for shape in shapes)
        tails = {(len(shape), shape[1:]) for shape in shapes}
        expected = {(len(parameter.shape), parameter.shape[1:])}
        return tails == expected and rows == parameter.shape[0]

    def _shapes(self, parameter: Parameter) -> str:
        found = ", ".join(f"{s} {list(self.tensors[s].shape)}" for s in parameter.sources)
        return f"{parameter.name} needs {list(parameter.shape)}, it has {found}"

    def _add(self, name: str, tensor: Tensor, file_name: str) -> None:
        weight_map = self.files.weight_map
        if weight_map is not None and name not in weight_map:
            raise StageFailed(
                f"{name}: in {file_name} but not in {model_files.WEIGHTS_INDEX}",
                hint="index and shards are of two saves: fetch or save them again",
            )
        if name in self.tensors:
            # transformers takes the last one, whatever the index says.
            raise StageFailed(
                f"{name}: in {self.tensors[name].path.name} and in {file_name}",
                hint="index and shards are of two saves: fetch or save them again",
            )
        self.tensors[name] = tensor


def _way_out(lost: Sequence[str], extra: Sequence[str]) -> str | None:
    """Return what mends a checkpoint, if its names tell."""
    if lost and all(name.removeprefix("model.") in extra for name in lost):
        return "it was saved without its head: save it with AutoModelForCausalLM"
    for prefix in {name.removesuffix(lost[0]) for name in extra if lost and name.endswith(lost[0])}:
        if all(prefix + name in extra for name in lost):
            return f"its names begin with {prefix!r}: save the model inside (merged, unwrapped)"
    return None


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _check_type(name: str, tensor: Tensor) -> None:
    if tensor.dtype not in ITEM_BYTES:
        raise StageFailed(
            f"{name}: stored as {tensor.dtype}",
            hint=f"weights are {', '.join(ITEM_BYTES)}; quantized ones are never taken: "
            "take the checkpoint that this one was made from",
        )
