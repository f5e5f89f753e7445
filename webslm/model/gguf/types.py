"""Own the storage types of GGUF tensors: names and block sizes, as the format numbers them."""

from __future__ import annotations

from typing import NamedTuple


class Storage(NamedTuple):
    """How a type stores numbers."""

    name: str
    elements: int
    """Numbers in a block; a row is whole blocks."""
    nbytes: int
    """Bytes of a block."""


STORAGE: dict[int, Storage] = {
    0: Storage("F32", 1, 4),
    1: Storage("F16", 1, 2),
    2: Storage("Q4_0", 32, 18),
    3: Storage("Q4_1", 32, 20),
    6: Storage("Q5_0", 32, 22),
    7: Storage("Q5_1", 32, 24),
    8: Storage("Q8_0", 32, 34),
    10: Storage("Q2_K", 256, 84),
    11: Storage("Q3_K", 256, 110),
    12: Storage("Q4_K", 256, 144),
    13: Storage("Q5_K", 256, 176),
    14: Storage("Q6_K", 256, 210),
    16: Storage("IQ2_XXS", 256, 66),
    17: Storage("IQ2_XS", 256, 74),
    18: Storage("IQ3_XXS", 256, 98),
    19: Storage("IQ1_S", 256, 50),
    20: Storage("IQ4_NL", 32, 18),
    21: Storage("IQ3_S", 256, 110),
    22: Storage("IQ2_S", 256, 82),
    23: Storage("IQ4_XS", 256, 136),
    29: Storage("IQ1_M", 256, 56),
    30: Storage("BF16", 1, 2),
    34: Storage("TQ1_0", 256, 54),
    35: Storage("TQ2_0", 256, 66),
    39: Storage("MXFP4", 32, 17),
    40: Storage("NVFP4", 64, 36),
}
"""What can be read, by the number in a file; a test holds it to the gguf wheel."""
UNREADABLE = {
    9: "Q8_1",
    15: "Q8_K",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
}
"""Names of types that hold no weights, or that nobody unpacks; for the sentence."""
