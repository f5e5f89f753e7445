"""Own what is read of a local checkpoint or file before a build is planned. Load no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.errors import ConfigError, StageFailed
from webslm.schema import BaseSource

if TYPE_CHECKING:
    from webslm.schema import BaseConf, Config, ShapeConf

NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
UNKNOWN_LICENCE = "NOASSERTION"
MISSING = "???"
"""What OmegaConf leaves where a value must be given and is not."""
WINDOWS = ("context_window_size", "prefill_chunk_size")


def fill_shape(cfg: Config) -> None:
    """Set ``base.shape`` of a local base to what its folder or its GGUF file says.

    A context (``compiler``) that was left at the group's value shrinks to what the checkpoint
    was made for.

    Raises:
        ConfigError: No such folder or file, a part is missing, the model cannot be compiled, or
            ``base.shape`` was written by hand and is another.
    """
    if not cfg.base.path or cfg.base.path == MISSING:
        what = "FILE.gguf" if cfg.base.source is BaseSource.gguf else "FOLDER"
        raise ConfigError(f"base.path: base={cfg.base.name} needs one", hint=f"base.path={what}")
    if not cfg.base.shape.model_type:
        _refuse([key for key, _ in _declared(cfg.base)])
    if cfg.base.source is BaseSource.gguf:
        found = _read_gguf(cfg.base)
    else:
        found = read_shape(Path(str(cfg.base.path)).expanduser())
    # A lock's configuration holds the shape that was read when it was built.
    _refuse([key for key, value in _declared(cfg.base) if value != getattr(found, key)])
    cfg.base.shape = found
    limit = cfg.base.shape.max_position_embeddings
    for name in WINDOWS:
        group, chosen = getattr(cfg.base, name), getattr(cfg.compiler, name)
        if chosen == group:
            setattr(cfg.compiler, name, min(group, limit))
        setattr(cfg.base, name, min(group, limit))


def _refuse(declared: list[str]) -> None:
    if declared:
        raise ConfigError(
            f"base.shape.{declared[0]}: a local base's shape is its own file's",
            hint=f"leave out base.shape.{declared[0]}",
        )


def _read_gguf(base: BaseConf) -> ShapeConf:
    """Return the shape in a GGUF file and take its licence where none is declared."""
    from webslm.gguf.location import locate
    from webslm.gguf.model import read_model

    model = read_model(locate(str(base.path)))
    if model.vocabulary.template is None and base.chat_template is None:
        raise ConfigError(
            f"base.path: {model.location.name} has no chat template",
            hint="take an instruct model, or base.chat_template=FILE.jinja with the one that it "
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
    from webslm.compiler.architectures import architecture
    from webslm.stages.normalize import canonical

    if not folder.is_dir():
        raise ConfigError(
            f"base.path: {folder}: no such folder", hint="base.path=FOLDER with a checkpoint"
        )
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise ConfigError(
            f"base.path: {folder} has no {', '.join(missing)}",
            hint="save model and fast tokenizer with save_pretrained (safetensors)",
        )
    try:
        config = json.loads((folder / NEEDED[0]).read_text("utf-8"))
        canonical(config)
        return architecture(config["model_type"]).shape(config)
    except StageFailed as exc:
        raise ConfigError(f"base.path: {folder}: {exc}", hint=exc.hint) from exc
    except (ValueError, TypeError, AttributeError) as exc:
        raise ConfigError(f"base.path: {folder / NEEDED[0]}: not a model's JSON: {exc}") from exc


def _declared(base: BaseConf) -> list[tuple[str, Any]]:
    """Return the shape's fields that are neither empty nor the schema's default."""
    from webslm.schema import ShapeConf

    default = vars(ShapeConf())
    return [
        (name, value)
        for name, value in vars(base.shape).items()
        if value not in (0, "", default[name])
    ]
