"""Own ``webslm init``: a small folder that builds with the installed wheel. Never overwrite."""

from __future__ import annotations

import re
from pathlib import Path

from webslm import __version__
from webslm.basics.errors import ConfigError
from webslm.basics.fs import tree_files, write_text

FILES = Path(__file__).resolve().parent / "files"
SUFFIX = ".in"
"""Ends the templates' names, so that no tool takes them for the real thing."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def write_project(folder: Path) -> list[Path]:
    """Write recipe, domain, sample rows, instructions and a CI workflow; return what was written.

    Args:
        folder: New or empty; its last part names the recipe.

    Raises:
        ConfigError: The name cannot be an option's, or the folder is not empty.
    """
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"init: {name!r} cannot name a recipe",
            hint="start with a letter; then letters, digits, '_' and '-', at most 64",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"init: {folder} is there already", hint="name a new or empty folder")
    words = {
        "NAME": name,
        "TITLE": name.replace("-", " ").replace("_", " "),
        "VERSION": __version__,
    }
    written = []
    for source in tree_files(FILES):
        text = source.read_text(encoding="utf-8")
        relative = source.relative_to(FILES).as_posix().removesuffix(SUFFIX)
        for word, value in words.items():
            text = text.replace(f"%%{word}%%", value)
            relative = relative.replace(f"%%{word}%%", value)
        write_text(folder / relative, text)
        written.append(folder / relative)
    return written
