"""One file per architecture, and the table of them. Imports no TVM."""

from __future__ import annotations

from webslm.basics.errors import ConfigError
from webslm.model.architectures.decoder import Decoder
from webslm.model.architectures.gemma2 import GEMMA2
from webslm.model.architectures.gemma3 import GEMMA3_TEXT
from webslm.model.architectures.llama import LLAMA
from webslm.model.architectures.mistral import MISTRAL
from webslm.model.architectures.phi3 import PHI3
from webslm.model.architectures.qwen2 import QWEN2
from webslm.model.architectures.qwen3 import QWEN3

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
