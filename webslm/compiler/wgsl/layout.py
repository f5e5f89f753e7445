"""Own sizes and alignments of WGSL types, as section "Memory Layout" of its specification says."""

from __future__ import annotations

from collections.abc import Iterable

from webslm.compiler.wgsl.syntax import Module, Type, Variable
from webslm.compiler.wgsl.tokens import WgslError

SCALAR_BYTES = {"bool": 4, "i32": 4, "u32": 4, "f32": 4, "f16": 2}
SUFFIXES = {"i": "i32", "u": "u32", "f": "f32", "h": "f16"}
"""``vec4f`` is ``vec4<f32>``."""
_VECTORS = {f"vec{count}": count for count in (2, 3, 4)}
_MATRICES = {f"mat{wide}x{high}": (wide, high) for wide in (2, 3, 4) for high in (2, 3, 4)}


class Layout:
    """Sizes of the types of one shader."""

    def __init__(self, module: Module) -> None:
        """Know the structures and aliases of ``module``."""
        self._module = module

    def total(self, variables: Iterable[Variable]) -> int:
        """Return the bytes of variables beside each other, each padded to its alignment."""
        return sum(self._rounded(one.type) for one in variables if one.type is not None)

    def variable(self, variable: Variable) -> int:
        """Return the bytes of a variable; of one without a fixed size, the least it binds."""
        return 0 if variable.type is None else self._measured(variable.type)[0]

    def _rounded(self, kind: Type) -> int:
        size, alignment = self._measured(kind)
        return -(-size // alignment) * alignment

    def _measured(self, kind: Type) -> tuple[int, int]:
        """Return a type's size and alignment in bytes."""
        name, arguments = kind.name, kind.arguments
        if name in self._module.aliases:
            return self._measured(self._module.aliases[name])
        if name in self._module.structures:
            return self._structure(self._module.structures[name])
        if name in SCALAR_BYTES:
            return SCALAR_BYTES[name], SCALAR_BYTES[name]
        if name == "atomic":
            return self._measured(_type(kind, 0))
        if name == "array":
            size, alignment = self._measured(_type(kind, 0))
            stride = -(-size // alignment) * alignment
            count = arguments[1] if len(arguments) > 1 else 1
            if not isinstance(count, int):
                raise WgslError(f"an array of {count.name!r} elements")
            return stride * count, alignment
        if name[:-1] in {*_VECTORS, *_MATRICES} and name[-1] in SUFFIXES:
            return self._measured(Type(name[:-1], (Type(SUFFIXES[name[-1]]),)))
        if name in _VECTORS:
            item = self._measured(_type(kind, 0))[0]
            # A vector of three takes the room of four.
            return _VECTORS[name] * item, (2 if name == "vec2" else 4) * item
        if name in _MATRICES:
            columns, rows = _MATRICES[name]
            column = Type("array", (Type(f"vec{rows}", arguments), columns))
            return self._measured(column)
        raise WgslError(f"the type {name}")

    def _structure(self, members: Iterable[Type]) -> tuple[int, int]:
        end, widest = 0, 1
        for member in members:
            size, alignment = self._measured(member)
            end = -(-end // alignment) * alignment + size
            widest = max(widest, alignment)
        return -(-end // widest) * widest, widest


def _type(kind: Type, place: int) -> Type:
    given = kind.arguments[place] if place < len(kind.arguments) else None
    if not isinstance(given, Type):
        raise WgslError(f"{kind.name} without an element type")
    return given
