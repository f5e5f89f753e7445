"""Own the words of ``webslm cache ...``: parse them, act, print."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from rich.table import Table

from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.basics.fs import temporary_dir
from webslm.basics.paths import cache_dir
from webslm.basics.screen import Screen
from webslm.cli.verbs.words import add_action
from webslm.engine.store import admin
from webslm.engine.store.archive import pack, unpack
from webslm.engine.store.artifacts import Cache

HINT = "python -m webslm cache list; also verify, gc, export FILE and import FILE"


def add(verbs: Any) -> None:
    """Add the verb's words."""
    parser = verbs.add_parser("cache", hint=HINT)
    actions = parser.add_subparsers(dest="action", required=True)
    add_action(actions, parser, "list").add_argument("stage", nargs="?")
    add_action(actions, parser, "verify")
    gc = add_action(actions, parser, "gc")
    gc.add_argument("--keep-recipes", action="store_true")
    gc.add_argument("--max-size")
    gc.add_argument("--dry-run", action="store_true")
    export = add_action(actions, parser, "export")
    export.add_argument("file", type=Path)
    export.add_argument("names", nargs="*")
    add_action(actions, parser, "import").add_argument("file", type=Path)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do what the words say and return the exit code.

    Raises:
        CacheCorrupt: An artifact or an archive is not what it says.
    """
    cache = Cache(cache_dir())
    console = Screen()
    actions: dict[str, Callable[[], None]] = {
        "list": lambda: _list(cache, options.stage, console),
        "verify": lambda: _verify(cache, console),
        "gc": lambda: _gc(cache, options, console),
        "export": lambda: _export(cache, options, console),
        "import": lambda: _import(cache, options.file, console),
    }
    actions[options.action]()
    return 0


def _list(cache: Cache, stage: str | None, console: Screen) -> None:
    found = admin.entries(cache, stage)
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "key", "size", "took", "used"):
        table.add_column(column, justify="right" if column in ("size", "took") else "left")
    for entry in found:
        artifact = entry.artifact
        took = f"{artifact.seconds:.1f} s"
        row = (artifact.stage, artifact.key[:16], decimal(entry.size), took)
        table.add_row(*row, admin.ago(entry.used))
    if found:
        console.print(table)
    total = decimal(sum(entry.size for entry in found))
    console.print(f"{len(found)} artifacts, {total}, in {cache.root}", soft_wrap=True)


def _verify(cache: Cache, console: Screen) -> None:
    count = admin.verify(cache, admin.entries(cache))
    console.print(f"{count} artifacts are whole", soft_wrap=True)


def _gc(cache: Cache, options: argparse.Namespace, console: Screen) -> None:
    from webslm.cli.wanted import wanted_keys

    if not options.keep_recipes and options.max_size is None:
        raise ConfigError(
            "cache gc: say what stays", hint="--keep-recipes, --max-size 5GB, or both"
        )
    limit = None
    if options.max_size is not None:
        try:
            limit = admin.parse_size(options.max_size)
        except ValueError:
            raise ConfigError(
                f"cache gc: {options.max_size!r} is no size", hint="such as --max-size 5GB"
            ) from None
    keys = wanted_keys() if options.keep_recipes else set()
    cleaning = admin.clean(admin.entries(cache), wanted=keys, max_size=limit)
    if not options.dry_run:
        admin.remove(cache, cleaning)
        admin.remove_unfinished(cache)
    did = "would remove" if options.dry_run else "removed"
    console.print(
        f"{did} {len(cleaning.removed)} artifacts ({decimal(cleaning.freed)}), "
        f"kept {len(cleaning.kept)}",
    )


def _export(cache: Cache, options: argparse.Namespace, console: Screen) -> None:
    try:
        chosen = admin.named(admin.entries(cache), options.names)
    except KeyError as exc:
        raise ConfigError(
            f"cache export: nothing stored begins with {exc.args[0]!r}",
            hint="name stages or keys as `cache list` shows them",
        ) from exc
    target = admin.export_target(options.file)
    try:
        with temporary_dir(target.parent, "export") as work:
            with (work / "archive").open("wb") as file:
                count = pack((entry.artifact for entry in chosen), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(work / "archive", target)
    except OSError as exc:
        raise EnvironmentMismatch(
            f"cache export: {target}: {exc.strerror}", hint="name a file on a disk with room"
        ) from exc
    console.print(f"{count} artifacts to {target}", soft_wrap=True)


def _import(cache: Cache, path: Path, console: Screen) -> None:
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            taken = unpack(cache, file, str(path))
    except OSError as exc:
        raise ConfigError(
            f"cache import: {path}: {exc.strerror}", hint="name a file that `cache export` wrote"
        ) from exc
    console.print(f"{len(taken)} artifacts taken into {cache.root}", soft_wrap=True)
