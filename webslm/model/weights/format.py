"""Own the weight format: what follows from its bits, group and type. Do no I/O, know no numpy.

A weight W[N, K] lies as codes and scales: ``group_size`` inputs along K share one scale s, a code q
of ``bits`` bits stands for (q - ``middle``) s, and a 32-bit word holds ``codes_per_word`` codes,
lowest bits first. Checks, conversion and kernels ask here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from webslm.basics.errors import ConfigError, Problem
from webslm.model.architectures.weight_maps import Parameter
from webslm.schema import QuantConf

RAW = "raw"
BF16 = "f32-to-bf16"
ENCODINGS = (RAW, BF16)
ITEM_BYTES = {"uint32": 4, "float32": 4, "float16": 2}
WORD_BITS = 32
CODE_BITS = (3, 4, 8)
SHORT_DTYPES = {"float32": "f32", "float16": "f16"}
"""A type a library computes in, and how names of formats spell it."""
USUAL_GROUPS = {3: 40}
"""Group sizes of the ecosystem by bits, where they are not ``USUAL_GROUP``."""
USUAL_GROUP = 32
SHADER_F16 = "shader-f16"


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """One tensor as it lies in the shards and as the library's metadata names it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """uint32, float32 or float16: what the library sees."""
    encoding: str = RAW
    """raw, or f32-to-bf16: the upper half of each float32 (2 bytes an element)."""

    @property
    def elements(self) -> int:
        """Return how many elements the tensor has."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        """Return its size in a shard in bytes."""
        return self.elements * (2 if self.encoding == BF16 else ITEM_BYTES[self.dtype])


@dataclass(frozen=True)
class Format:
    """A weight format, with all that follows from what a user says of it."""

    quant: QuantConf

    def problems(self) -> Iterator[Problem]:
        """Yield every reason for which the format cannot be stored."""
        quant = self.quant
        if quant.bits and quant.bits not in CODE_BITS:
            listed = ", ".join(str(bits) for bits in CODE_BITS)
            yield (
                f"quant.bits: {quant.bits} bits are not supported",
                f"0 (none), or one of {listed}",
            )
        if quant.dtype not in SHORT_DTYPES:
            yield f"quant.dtype: no type {quant.dtype!r}", f"one of {', '.join(SHORT_DTYPES)}"
        if quant.scale_encoding not in ENCODINGS:
            yield f"quant.scale_encoding: no encoding {quant.scale_encoding!r}", f"{RAW} or {BF16}"
        elif quant.scale_encoding == BF16 and quant.dtype != "float32":
            yield f"quant.scale_encoding: {BF16} packs float32 scales only", RAW
        if quant.bits not in CODE_BITS:
            return
        if quant.group_size <= 0 or quant.group_size % self.codes_per_word:
            yield (
                f"quant.group_size: {quant.group_size} is not a multiple of {self.codes_per_word}",
                f"a word holds {self.codes_per_word} codes of {quant.bits} bits; the ecosystem "
                f"uses {USUAL_GROUPS.get(quant.bits, USUAL_GROUP)}",
            )

    def check(self) -> None:
        """Raise ConfigError with all ``problems``."""
        problems = tuple(self.problems())
        if problems:
            raise ConfigError(problems=problems)

    @property
    def codes_per_word(self) -> int:
        """Return how many whole codes a word holds; of 3 bits ten, and two bits stay zero."""
        return WORD_BITS // self.quant.bits

    @property
    def mask(self) -> int:
        """Return the bits of one code, all set."""
        return (1 << self.quant.bits) - 1

    @property
    def middle(self) -> int:
        """Return the code that stands for zero; codes go from 0 to twice it."""
        return (1 << (self.quant.bits - 1)) - 1

    @property
    def required_features(self) -> list[str]:
        """Return the WebGPU features without which shaders in the format's type do not compile."""
        return required_features(self.quant.dtype)

    def num_groups(self, columns: int) -> int:
        """Return the scales of a row of ``columns`` inputs; the last group may be partly filled."""
        return -(-columns // self.quant.group_size)

    def num_words(self, columns: int) -> int:
        """Return the 32-bit words of a row of ``columns`` inputs."""
        return self.num_groups(columns) * self.quant.group_size // self.codes_per_word

    def rounds(self, parameter: Parameter) -> bool:
        """Tell whether a parameter is stored as codes."""
        return parameter.quantize and self.quant.bits > 0

    def tensors(self, parameter: Parameter) -> list[StoredTensor]:
        """Return what a parameter is stored as, in the order of the library's metadata."""
        quant = self.quant
        if not self.rounds(parameter):
            return [StoredTensor(name=parameter.name, shape=parameter.shape, dtype=quant.dtype)]
        stem = parameter.name.removesuffix(".weight")
        rows, columns = parameter.shape
        codes, scales = (rows, self.num_words(columns)), (rows, self.num_groups(columns))
        return [
            StoredTensor(name=f"{stem}.q_weight", shape=codes, dtype="uint32"),
            StoredTensor(
                name=f"{stem}.q_scale",
                shape=scales,
                dtype=quant.dtype,
                encoding=quant.scale_encoding,
            ),
        ]

    def with_dtype(self, dtype: str) -> QuantConf:
        """Return a format of the same width in another precision, named as the ecosystem does."""
        bits = self.quant.bits
        return replace(
            self.quant,
            name=f"q{bits}{SHORT_DTYPES[dtype]}" + ("_1" if bits else ""),
            dtype=dtype,
            # Half the bytes of float32 scales; float16 scales are as small already.
            scale_encoding=BF16 if bits and dtype == "float32" else RAW,
        )


def required_features(dtype: str) -> list[str]:
    """Return the WebGPU features without which shaders of a type do not compile."""
    return [SHADER_F16] if dtype == "float16" else []
