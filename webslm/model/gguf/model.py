"""Own all that a GGUF file is asked before a build: its shape, tokens and tensors, or why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.model.architectures import architecture
from webslm.model.architectures.support import explain_unsupported
from webslm.model.gguf.config import to_config
from webslm.model.gguf.header import Header
from webslm.model.gguf.location import Location
from webslm.model.gguf.vocabulary import Vocabulary, read_vocabulary
from webslm.model.gguf.weights import Source, sources
from webslm.schema import ShapeConf

LICENCES = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
}
"""What publishers write, to SPDX; other names stay as they are."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model in a GGUF file, its weights unread."""

    location: Location
    header: Header
    config: Mapping[str, Any]
    """As its config.json would be."""
    shape: ShapeConf
    vocabulary: Vocabulary
    sources: Sequence[Source]

    @property
    def causal_lm(self) -> str:
        """Return the class that transformers reads the checkpoint as."""
        return architecture(self.shape.model_type).causal_lm

    @property
    def title(self) -> str | None:
        """Return what the publisher calls the model."""
        name = self.header.metadata.get("general.name")
        return str(name) if name else None

    @property
    def licence(self) -> str | None:
        """Return the licence that the file names; None: it names none."""
        found = self.header.metadata.get("general.license")
        if not isinstance(found, str) or not found:
            return None
        if found.casefold() == "other":
            found = str(self.header.metadata.get("general.license.name") or found)
        return LICENCES.get(found.casefold(), found)


def read_model(location: Location) -> Model:
    """Read what a file says of its model.

    Raises:
        ConfigError: Names the part for which the model cannot be a base.
    """
    header = location.header()
    config = to_config(header, location.read)
    problem = explain_unsupported(config)
    if problem is not None:
        raise ConfigError(f"{header.name}: {problem[0]}", hint=problem[1])
    vocabulary = read_vocabulary(header)
    shape = architecture(config["model_type"]).shape(config)
    if len(vocabulary.tokens) > shape.vocab_size:
        raise ConfigError(
            f"{header.name}: {len(vocabulary.tokens)} tokens, and a table of {shape.vocab_size}",
            hint="take another file of the model",
        )
    return Model(
        location=location,
        header=header,
        config=config,
        shape=shape,
        vocabulary=vocabulary,
        sources=sources(header, shape),
    )
