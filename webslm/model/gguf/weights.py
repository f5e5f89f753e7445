"""Own which tensor of a GGUF file becomes which tensor of a checkpoint. Read no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webslm.basics.errors import ConfigError
from webslm.model.architectures import architecture
from webslm.model.gguf.header import Header, TensorInfo
from webslm.model.gguf.names import PERMUTED, ROPE_TENSORS, gguf_name
from webslm.schema import ShapeConf

SHOWN = 3
TURNED = ("self_attn.q_proj", "self_attn.k_proj")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One tensor of the checkpoint and where its numbers lie."""

    name: str
    """In the checkpoint."""
    tensor: TensorInfo
    head_dim: int | None
    """Rows of a head, when the file keeps each head's rows in the order of ggml's rotation."""
    offset: float
    """What the file added to the numbers."""


def sources(header: Header, shape: ShapeConf) -> list[Source]:
    """Return every tensor of the checkpoint that a file holds.

    Raises:
        ConfigError: A tensor is missing, has another shape, or has no place in the model.
    """
    family = architecture(shape.model_type)
    found: list[Source] = []
    used, missing = set(ROPE_TENSORS), []
    for parameter in family.parameters(shape):
        tensors = []
        for name in parameter.sources:
            called = gguf_name(name, shape.model_type)
            used.add(called)
            tensor = header.tensors.get(called)
            if tensor is None:
                missing.append(called)
                continue
            tensors.append(tensor)
            norm = len(parameter.shape) == 1 and name.endswith("norm.weight")
            turned = shape.model_type in PERMUTED and name.rpartition(".")[0].endswith(TURNED)
            found.append(
                Source(
                    name=name,
                    tensor=tensor,
                    head_dim=shape.head_dim if turned else None,
                    offset=family.style.norm_offset if norm else 0.0,
                )
            )
        if len(tensors) == len(parameter.sources):
            _check_size(header, tensors, parameter.shape)
    _check_complete(header, missing, sorted(set(header.tensors) - used))
    return found


def _check_complete(header: Header, missing: list[str], unused: list[str]) -> None:
    if missing:
        raise ConfigError(
            f"{header.name}: {len(missing)} tensors are missing: {_listed(missing)}",
            hint="take the model's whole file, made by a current llama.cpp",
        )
    if unused:
        raise ConfigError(
            f"{header.name}: {len(unused)} tensors have no place in {header.architecture}: "
            f"{_listed(unused)}",
            hint="the model computes more than the library does: take another one",
        )


def _check_size(header: Header, tensors: list[TensorInfo], wanted: tuple[int, ...]) -> None:
    """Refuse tensors that are not, one on the other, what the metadata describes."""
    rows = sum(tensor.shape[0] for tensor in tensors)
    if rows != wanted[0] or any(tensor.shape[1:] != wanted[1:] for tensor in tensors):
        told = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in tensors)
        raise ConfigError(
            f"{header.name}: {told}: the metadata wants {list(wanted)}",
            hint="take another file of the model",
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def storage_counts(found: Sequence[Source]) -> dict[str, int]:
    """Return how many matrices are stored as what, the most used type first."""
    names = [source.tensor.storage.name for source in found if len(source.tensor.shape) > 1]
    return {
        name: names.count(name) for name in sorted(set(names), key=lambda n: (-names.count(n), n))
    }
