"""Own the verb ``recipe``: a lock as a recipe of its own."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from webslm.basics.screen import say
from webslm.cli.verbs.words import add_action


def add(verbs: Any) -> None:
    """Add the verb's words."""
    parser = verbs.add_parser(
        "recipe",
        sentence="say what to freeze",
        hint="python -m webslm recipe freeze FOLDER my_conf/recipe/NAME.yaml",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    freeze = add_action(actions, parser, "freeze")
    freeze.add_argument("folder", type=Path)
    freeze.add_argument("file", type=Path, nargs="?")
    freeze.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run ``recipe freeze FOLDER [FILE]``; without a file the recipe goes to the screen."""
    from webslm.basics.fs import write_text
    from webslm.basics.paths import RECIPE_GROUP, recipes_dirs
    from webslm.cli.recipe import freeze
    from webslm.engine.lock.file import read_lock

    text = freeze(read_lock(options.folder))
    if options.file is None:
        sys.stdout.write(text)
        return 0
    file = options.file
    write_text(file, text)
    folder = file.resolve().parent
    if folder in recipes_dirs():
        say(f"build  python -m webslm recipe={shlex.quote(file.stem)}")
    elif folder.name == RECIPE_GROUP:
        say(
            f"build  python -m webslm --config-dir {shlex.quote(str(folder.parent))} "
            f"recipe={shlex.quote(file.stem)}"
        )
    return 0
