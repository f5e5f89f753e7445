"""Own publishing to a folder: the whole new site at once in the place of the old one."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.basics.fs import copy_tree, sync_tree, temporary_dir, tree_bytes, tree_files
from webslm.basics.paths import expanded
from webslm.publish.delivered import MANIFEST, PAGE_CONFIG, Delivered, Published
from webslm.schema import PublishConf

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def check(conf: PublishConf, name: str) -> None:  # noqa: ARG001  one signature for all targets
    """Refuse a place that cannot be written, or that holds something else.

    Raises:
        ConfigError: Other files lie there.
        EnvironmentMismatch: It cannot be written.
    """
    target = _target(conf)
    if target.is_file() or (target.is_dir() and not is_replaceable(target)):
        raise ConfigError(
            f"publish.path: {target} holds something that webslm did not put there",
            hint="name a new or empty folder, or one that was published to before",
        )
    above = next(folder for folder in (target.parent, *target.parents) if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise EnvironmentMismatch(
            f"publish.path: {target} cannot be made in {above}", hint="publish.path=FOLDER"
        )


def preview(conf: PublishConf, site: Delivered) -> list[str]:
    """Return what would happen."""
    return [f"{len(site.files) + 1} files to {_target(conf)}"]


def put(conf: PublishConf, site: Delivered) -> Published:
    """Copy the site beside its place, flush it, and exchange it for what lies there."""
    target = _target(conf)
    check(conf, site.name)
    with temporary_dir(target.parent, "publish") as work:
        new = work / "site"
        copy_tree(site.bundle, new)
        sync_tree(new)
        exchange(new, target)
    return Published(
        target="folder",
        place=str(target),
        url=conf.url,
        files=sum(1 for _ in tree_files(target)),
        bytes=tree_bytes(target),
    )


def is_replaceable(folder: Path) -> bool:
    """Tell whether a folder is empty or a site of webslm."""
    names = {path.name for path in folder.iterdir()}
    return not names or {MANIFEST, PAGE_CONFIG, "index.html"} <= names


def exchange(new: Path, target: Path) -> None:
    """Put ``new`` in the place of ``target``; what lay there is then at ``new``, if anything did.

    Linux exchanges two folders in one step. Elsewhere two renames do, the first of them undone
    if the second fails.
    """
    if not target.exists():
        new.rename(target)
        return
    if _exchange_at_once(new, target):
        return
    old = new.with_name("old")
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise


def _exchange_at_once(one: Path, other: Path) -> bool:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    done: int = call(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE)
    return done == 0


def _target(conf: PublishConf) -> Path:
    return expanded(str(conf.path)).resolve()
