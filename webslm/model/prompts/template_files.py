"""Own where a chat template lies: one rule for checkpoints, adapters and files of a user's own.

The order is transformers': ``chat_template.jinja``, then ``tokenizer_config.json``; last
``chat_template.json``, which processors of older versions wrote. Of several named templates the
one called default counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from webslm.basics import model_files
from webslm.basics.errors import ConfigError

FILES = (model_files.TEMPLATE, model_files.TOKENIZER_CONFIG, model_files.TEMPLATE_JSON)
KEY = "chat_template"
NAMED = "additional_chat_templates"
"""Folder of named templates beside the default one."""
SET_HINT = "base.template_path=FILE takes the chat template from a Jinja file"


def locate(folder: Path) -> Path | None:
    """Return the file of a folder that holds its chat template; None: it has none.

    Raises:
        ConfigError: A file is not what its name says.
    """
    for name in FILES:
        file = folder / name
        if file.is_file() and (name == model_files.TEMPLATE or _entry(file)):
            return file
    return None


def read(path: Path) -> str:
    """Return the chat template of a file, or of a checkpoint's or adapter's folder.

    Raises:
        ConfigError: There is none, or several without a default.
    """
    if path.is_dir():
        file = locate(path)
        if file is None:
            raise ConfigError(f"no chat template in {path}{_beside(path)}", hint=SET_HINT)
        path = file
    if path.suffix != ".json":
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as exc:
            raise ConfigError(f"unreadable chat template {path}: {exc}", hint=SET_HINT) from exc
    return _default(_entry(path), path)


def _entry(file: Path) -> Any:
    try:
        value = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{file}: not JSON: {exc}", hint=SET_HINT) from exc
    return value.get(KEY) if isinstance(value, dict) else None


def _default(entry: Any, file: Path) -> str:
    """Return the template of an entry: a text, or named ones as a list or a mapping."""
    if isinstance(entry, str) and entry:
        return entry
    named = entry
    if isinstance(entry, list):
        named = {one.get("name"): one.get("template") for one in entry if isinstance(one, dict)}
    if not isinstance(named, dict) or not named:
        raise ConfigError(f"{file}: holds no chat template under {KEY!r}", hint=SET_HINT)
    chosen = named.get("default")
    if not isinstance(chosen, str):
        names = ", ".join(sorted(map(str, named)))
        raise ConfigError(
            f"{file}: has the chat templates {names} and no default one",
            hint=f"write the one to take into a file: {SET_HINT}",
        )
    return chosen


def _beside(folder: Path) -> str:
    """Return what named templates lie there though no default one does."""
    names = sorted(path.name for path in (folder / NAMED).glob("*.jinja"))
    return f" ({NAMED} holds {', '.join(names)})" if names else ""
