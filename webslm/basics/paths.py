"""Own every location: conf, recipes, data, the page's sources, the cache. Create nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from webslm.basics.errors import EnvironmentMismatch

PACKAGE = Path(__file__).resolve().parent.parent
SCHEME = "options"
"""How a folder with the user's options is named on Hydra's search path: ``options:///my/conf``."""
RECIPES_SCHEME = "recipes"
"""The same for a folder that holds recipes and no other group."""
RECIPE_GROUP = "recipe"
STORED_DIGITS = 16
"""How much of a key the store's folders are named by."""


def conf_dir() -> Path:
    """Return the shipped configuration folder (inside the wheel, or beside the package)."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def recipes_dir() -> Path:
    """Return the folder of the shipped recipes (inside the wheel, or beside the package)."""
    inside = PACKAGE / "recipes"
    return inside if inside.is_dir() else PACKAGE.parent / "recipes"


def conf_dirs() -> list[Path]:
    """Return the shipped configuration folder and, in a project, the user's ``conf`` folder.

    A folder is a project when it holds recipes, or its ``conf`` recipes or domains.
    """
    shipped, own = conf_dir(), Path("conf").resolve()
    signs = (own / RECIPE_GROUP, own / "domain", own.with_name("recipes"))
    is_project = own.is_dir() and any(sign.is_dir() for sign in signs)
    return [shipped, own] if is_project and own != shipped.resolve() else [shipped]


def recipes_dirs() -> list[Path]:
    """Return the folder of the shipped recipes and, in a project, the user's ``recipes``."""
    shipped, own = recipes_dir(), Path("recipes").resolve()
    return [shipped, own] if own.is_dir() and own != shipped.resolve() else [shipped]


def group_dirs() -> Iterator[tuple[str, Path]]:
    """Yield every folder of options with its group, shipped ones first; ``hydra`` is none."""
    for folder in conf_dirs():
        for group in sorted(path for path in folder.iterdir() if path.is_dir()):
            if group.name != "hydra":
                yield group.name, group
    for folder in recipes_dirs():
        yield RECIPE_GROUP, folder


def data_dir() -> Path:
    """Return the starter datasets' folder."""
    return PACKAGE / "data"


def site_dir() -> Path:
    """Return the browser app's own sources."""
    return PACKAGE / "site"


def cache_dir() -> Path:
    """Return the cache root: ``WEBSLM_CACHE``, else ``webslm`` in the user's cache folder.

    Raises:
        EnvironmentMismatch: Neither is known.
    """
    explicit = os.environ.get("WEBSLM_CACHE")
    if explicit:
        return expanded(explicit).resolve()
    try:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    except RuntimeError as exc:
        raise EnvironmentMismatch(
            "no home folder is known, so the store of finished steps has no place",
            hint="name one: export WEBSLM_CACHE=/tmp/webslm",
        ) from exc
    return expanded(base) / "webslm"


def expanded(path: str | Path) -> Path:
    """Return a path with ``~`` as the home folder, unless a file of that very name is there.

    Raises:
        EnvironmentMismatch: It begins with a home folder that is not known.
    """
    found = Path(path)
    if os.path.lexists(found):
        return found
    try:
        return found.expanduser()
    except RuntimeError as exc:
        raise EnvironmentMismatch(
            f"{path}: no home folder is known for {found.parts[0]!r}",
            hint="write the whole path; ./~ begins a file's name",
        ) from exc


def resolve_data(path: str) -> Path:
    """Resolve a path of the configuration.

    ``shipped:NAME`` lies in the package, ``store:STAGE/KEY`` in the store of finished steps, others
    against the cwd.
    """
    if path.startswith("shipped:"):
        return data_dir() / path.removeprefix("shipped:")
    if path.startswith("store:"):
        stage, _, key = path.removeprefix("store:").partition("/")
        return cache_dir() / "artifacts" / stage / key[:STORED_DIGITS] / "files"
    return expanded(path).resolve()
