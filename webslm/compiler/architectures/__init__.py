"""One file per architecture, and the table of them. Imports no TVM."""

from __future__ import annotations

from webslm.compiler.architectures.decoder import Decoder
from webslm.compiler.architectures.gemma2 import GEMMA2
from webslm.compiler.architectures.gemma3 import GEMMA3_TEXT
from webslm.compiler.architectures.llama import LLAMA
from webslm.compiler.architectures.mistral import MISTRAL
from webslm.compiler.architectures.phi3 import PHI3
from webslm.compiler.architectures.qwen2 import QWEN2
from webslm.compiler.architectures.qwen3 import QWEN3
from webslm.errors import ConfigError

ARCHITECTURES: dict[str, Decoder] = {
    family.model_type: family
    for family in (LLAMA, QWEN2, QWEN3, MISTRAL, GEMMA2, GEMMA3_TEXT, PHI3)
}


def architecture(model_type: str) -> Decoder:
    """Return the architecture of a model type.

    Raises:
        ConfigError: There is none.
    """
    try:
        return ARCHITECTURES[model_type]
    except KeyError:
        raise ConfigError(
            f"base.shape.model_type: no architecture for {model_type!r}",
            hint=f"known: {', '.join(sorted(ARCHITECTURES))}",
        ) from None
