"""Own what becomes of a checkpoint that others made, before any stage reads it.

Every reader then reads alike: one set of weights, one spelling of config.json, no token that the
embedding table has no row for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.basics import model_files
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.fs import read_object, write_text
from webslm.basics.stage import Progress
from webslm.model.architectures import architecture
from webslm.model.architectures.canonical import TOKEN_IDS, canonical, check_shape, differences
from webslm.model.weights import checkpoint_folder, vocabulary
from webslm.model.weights.checkpoint import Checkpoint
from webslm.schema import ShapeConf
from webslm.training.loading import load_tokenizer, read_as_transformers, usable_generation


def settle(shape: ShapeConf, folder: Path, progress: Progress) -> dict[str, Any]:
    """Make a given checkpoint one that every reader reads alike, and return what was left out.

    Args:
        shape: The declared one.
        folder: The checkpoint; its files are written anew where they must be.
        progress: Told what is left out.

    Returns:
        ``left_out`` as sentences, and ``lacking_tokens``: text to number of those that the
        tokenizer had and the embedding table has no row for.

    Raises:
        StageFailed: It is not whole, not of the declared shape, or transformers reads it otherwise.
    """
    given = read_object(folder / model_files.CONFIG)
    config = canonical(given)
    check_shape(checkpoint_folder.read_shape(folder), shape)
    _check_reading(given, shape)
    write_text(folder / model_files.CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
    checkpoint_folder.check_folder(folder, shape)
    lacking = _leave_out_tokens(folder, shape.vocab_size)
    told = [*_keep_weights(folder), *_settle_generation(folder, shape.vocab_size)]
    if lacking:
        told.append(f"tokens without a row in the embedding table: {', '.join(lacking)}")
    for text in told:
        progress.note(f"left out: {text}")
    return {"left_out": told, "lacking_tokens": lacking}


def _check_reading(given: Mapping[str, Any], shape: ShapeConf) -> None:
    """Hold transformers' reading of a config.json to ours: what it leaves out is filled by each."""
    read = read_as_transformers(given)
    if read is None:
        return
    try:
        unlike = differences(architecture(shape.model_type).shape(read), shape)
    except ConfigError as exc:
        raise StageFailed(exc.message, hint=exc.hint) from exc
    if unlike:
        told = "; ".join(f"{key} as {theirs!r}, webslm as {ours!r}" for key, theirs, ours in unlike)
        raise StageFailed(
            f"config.json: transformers reads {told}",
            hint="write the values that are meant into config.json",
        )


def _leave_out_tokens(folder: Path, rows: int) -> dict[str, int]:
    """Take the tokens that the table lacks out of the tokenizer, also those transformers adds."""
    lacking = vocabulary.beyond(folder, rows)
    vocabulary.check_named(folder, lacking, rows)
    vocabulary.leave_out(folder, lacking)
    # What tokenizer_config.json names and tokenizer.json has not, transformers adds at the end.
    added = _too_high(folder, rows)
    if not added:
        return lacking
    vocabulary.check_named(folder, added, rows)
    vocabulary.leave_out(folder, added)
    return lacking | added | _defaults_beyond(folder, rows)


def _defaults_beyond(folder: Path, rows: int) -> dict[str, int]:
    """Return the tokens past the table that transformers' tokenizer class adds by itself.

    Raises:
        StageFailed: Prompts start or answers end with one.
    """
    left = _too_high(folder, rows)
    if not left:
        return {}
    tokenizer = load_tokenizer(folder)
    if {tokenizer.eos_token, tokenizer.bos_token} & set(left):
        raise StageFailed(
            f"base: the tokenizer makes token {max(left.values())}, and the embedding table has "
            f"{rows} rows",
            hint="take the tokenizer that belongs to these weights",
        )
    if tokenizer.pad_token in left:
        # Padding is computed and then ignored: it needs a row, whichever.
        config = read_object(folder / model_files.TOKENIZER_CONFIG) | {
            "pad_token": tokenizer.eos_token
        }
        write_text(folder / model_files.TOKENIZER_CONFIG, json.dumps(config, indent=2) + "\n")
    return left


def _too_high(folder: Path, rows: int) -> dict[str, int]:
    found = load_tokenizer(folder).get_vocab().items()
    return {token: number for token, number in found if number >= rows}


def _keep_weights(folder: Path) -> list[str]:
    """Take weights that nothing reads out of a folder and spell the index as every reader can."""
    files = Checkpoint(folder).files
    for name in files.unread:
        (folder / name).unlink()
    if files.weight_map is not None:
        document = {"metadata": {}, "weight_map": dict(files.weight_map)}
        write_text(
            folder / model_files.WEIGHTS_INDEX,
            json.dumps(document, indent=2, sort_keys=True) + "\n",
        )
    return list(files.unread)


def _settle_generation(folder: Path, entries: int) -> list[str]:
    """Reduce a generation_config.json that transformers would not save to its token ids."""
    path = folder / model_files.GENERATION
    if not path.is_file():
        return []
    given = read_object(path)
    ids = checkpoint_folder.generation_ids(given, entries)
    kept = {key: value for key, value in given.items() if key not in TOKEN_IDS} | ids
    problem = usable_generation(kept)
    if problem is None and kept == given:
        return []
    write_text(path, json.dumps(kept if problem is None else ids, indent=2, sort_keys=True) + "\n")
    return [] if problem is None else [f"the settings of {path.name} but token ids: {problem}"]
