"""Own what a local checkpoint or file must be before a build is planned. Load no weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.paths import expanded
from webslm.schema import BaseSource

if TYPE_CHECKING:
    from webslm.schema import BaseConf, Config, ShapeConf

UNKNOWN_LICENCE = "NOASSERTION"
MISSING = "???"
"""What OmegaConf leaves where a value must be given and is not."""
WINDOWS = ("context_window_size", "prefill_chunk_size")


def fill_shape(cfg: Config) -> None:
    """Set ``base.shape`` of a local base to what its folder or its GGUF file says.

    A context (``compiler``) that was left at the group's value shrinks to what the checkpoint
    was made for, and so does the longest row that is learnt.

    Raises:
        ConfigError: No such folder or file, a part is missing, the model cannot be compiled, or
            ``base.shape`` (of a lock) is another.
    """
    from webslm.schema import ShapeConf

    if not cfg.base.path or cfg.base.path == MISSING:
        what = "FILE.gguf" if cfg.base.source is BaseSource.gguf else "FOLDER"
        raise ConfigError(f"base.path: base={cfg.base.name} needs one", hint=f"base.path={what}")
    if cfg.base.source is BaseSource.gguf:
        found = _read_gguf(cfg.base)
    else:
        found = read_shape(folder_of(cfg))
    default = vars(ShapeConf())
    for key, value in vars(cfg.base.shape).items():
        if value not in (0, "", default[key], getattr(found, key)):
            raise ConfigError(
                f"base.shape.{key}: {value!r}, and {cfg.base.path} has {getattr(found, key)!r}",
                hint="a local base's shape is its own file's: bring that back, or leave "
                f"out base.shape.{key}",
            )
    cfg.base.shape = found
    limit = found.max_position_embeddings
    for name in WINDOWS:
        group, chosen = getattr(cfg.base, name), getattr(cfg.compiler, name)
        if chosen == group:
            setattr(cfg.compiler, name, min(group, limit))
        setattr(cfg.base, name, min(group, limit))
    # Rows are held to it one by one; above the positions it could allow none that can be learnt.
    cfg.lora.max_length = min(cfg.lora.max_length, limit)


def refuse_shape(overrides: Iterable[str]) -> None:
    """Refuse a local base's shape that is typed: it would be read from the folder all the same.

    Raises:
        ConfigError: Names the key.
    """
    for word in overrides:
        key = word.lstrip("+~").partition("=")[0]
        if key == "base.shape" or key.startswith("base.shape."):
            raise ConfigError(
                f"{key}: a local base's shape is its own file's",
                hint=f"leave out {key}; what a config.json has wrong is mended there",
            )


def folder_of(cfg: Config) -> Path:
    """Return the folder of a local base."""
    return expanded(str(cfg.base.path))


def _read_gguf(base: BaseConf) -> ShapeConf:
    """Return the shape in a GGUF file and take its licence where none is declared."""
    from webslm.model.gguf.location import locate
    from webslm.model.gguf.model import read_model

    model = read_model(locate(str(base.path)))
    if model.vocabulary.template is None and base.template_path is None:
        raise ConfigError(
            f"base.path: {model.location.name} has no chat template",
            hint="take an instruct model, or base.template_path=FILE.jinja with the one that it "
            "was trained with",
        )
    if base.licence == UNKNOWN_LICENCE:
        base.licence = model.licence or UNKNOWN_LICENCE
    return model.shape


def read_shape(folder: Path) -> ShapeConf:
    """Return the shape of a checkpoint folder.

    Raises:
        ConfigError: What is missing from it, or why its model cannot be compiled.
    """
    from webslm.model.weights import checkpoint_folder

    if not folder.is_dir():
        raise ConfigError(
            f"base.path: {folder}: no such folder", hint="base.path=FOLDER with a checkpoint"
        )
    try:
        return checkpoint_folder.read_shape(folder)
    except StageFailed as exc:
        raise _of_path(exc) from exc


def check(cfg: Config, rows: Iterable[tuple[str, str]]) -> None:
    """Check all that a local base must have for a build.

    Args:
        cfg: With its shape filled.
        rows: (where, text) of what will be learnt or asked; read only where a token may be missing.

    Raises:
        ConfigError: Weights, tokenizer or template are not whole or not of one model, or a row
            needs a token that the embedding table lacks.
    """
    from webslm.model.weights import checkpoint_folder, vocabulary

    try:
        lacking = checkpoint_folder.check_folder(folder_of(cfg), cfg.base.shape)
        if lacking:
            vocabulary.check_unused(lacking, rows, cfg.base.shape.vocab_size)
    except StageFailed as exc:
        raise _of_path(exc) from exc


def left_out(cfg: Config) -> list[str]:
    """Return a line for each thing in a local base's folder that a build will not read."""
    from webslm.model.weights import vocabulary
    from webslm.model.weights.checkpoint_files import find_weights

    folder, rows = folder_of(cfg), cfg.base.shape.vocab_size
    files, lacking = find_weights(folder), vocabulary.beyond(folder, rows)
    found = []
    if files.unread:
        read = ", ".join(files.names[:1]) + (" and its shards" if files.names[1:] else "")
        found.append(f"base.path: not read beside {read}: {', '.join(files.unread)}")
    if lacking:
        found.append(
            f"base.path: the embedding table has {rows} rows, so these tokens are plain text: "
            f"{', '.join(lacking)}"
        )
    return found


def _of_path(exc: StageFailed) -> ConfigError:
    return ConfigError(f"base.path: {exc.message.removeprefix('base: ')}", hint=exc.hint)
