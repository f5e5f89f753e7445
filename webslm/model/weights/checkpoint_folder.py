"""Own what a checkpoint folder must hold before any work: all of it is asked, none is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.fs import read_object
from webslm.basics.model_files import (
    CONFIG,
    GENERATION,
    NEEDED,
    TEMPLATE,
    TEMPLATE_JSON,
    TOKENIZER,
    TOKENIZER_CONFIG,
)
from webslm.model.architectures import ARCHITECTURES
from webslm.model.architectures.canonical import canonical, token_ids
from webslm.model.weights import vocabulary
from webslm.model.weights.checkpoint import Checkpoint
from webslm.model.weights.checkpoint_files import find_weights
from webslm.model.weights.completeness import check_weights
from webslm.schema import ShapeConf

TEMPLATES = (TEMPLATE, TEMPLATE_JSON)
EXPLICIT = "transformers_weights"
"""Key of a config.json that makes transformers read another file."""


def read_shape(folder: Path) -> ShapeConf:
    """Return the shape of a folder that has every file that a build needs.

    Raises:
        StageFailed: A file is missing, or the model cannot be compiled.
    """
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise StageFailed(
            f"{folder} has no {', '.join(missing)}",
            hint="save model and fast tokenizer with save_pretrained (safetensors)",
        )
    files = find_weights(folder)
    config = read_object(folder / CONFIG)
    canonical(config)
    explicit = config.get(EXPLICIT)
    if explicit is not None and explicit not in files.names:
        raise StageFailed(
            f"{CONFIG}: {EXPLICIT} names {explicit}, which is not {files.names[0]}",
            hint=f"keep one set of weights and take {EXPLICIT} out of {CONFIG}",
        )
    return ARCHITECTURES[config["model_type"]].shape(config)


def check_folder(folder: Path, shape: ShapeConf) -> dict[str, int]:
    """Check that a folder has whole weights of a shape, a tokenizer for them and a chat template.

    Returns:
        The tokens of the tokenizer that the embedding table lacks, by text.

    Raises:
        StageFailed: Says what is missing, broken or of another model.
    """
    check_weights(Checkpoint(folder), shape)
    if (folder / GENERATION).is_file():
        generation_ids(read_object(folder / GENERATION), shape.vocab_size)
    _check_tokenizer(folder / TOKENIZER)
    config = read_object(folder / TOKENIZER_CONFIG)
    if not config.get("chat_template") and not any((folder / t).is_file() for t in TEMPLATES):
        raise StageFailed(
            "base: the checkpoint has no chat template",
            hint="take an instruct model; a bare one cannot chat",
        )
    lacking = vocabulary.beyond(folder, shape.vocab_size)
    vocabulary.check_named(folder, lacking, shape.vocab_size)
    return lacking


def generation_ids(config: Mapping[str, Any], entries: int) -> dict[str, Any]:
    """Return the token ids that a generation_config.json sets.

    Raises:
        StageFailed: One is no token.
    """
    try:
        return {
            key: value for key, value in token_ids(config, entries).items() if value is not None
        }
    except ConfigError as exc:
        raise StageFailed(exc.message.replace(CONFIG, GENERATION, 1), hint=exc.hint) from exc


def _check_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(path))
    # The library raises plain Exception for a broken file.
    except Exception as exc:
        raise StageFailed(
            f"unreadable {path}: {exc}",
            hint="fetch the tokenizer's files again",
        ) from exc
