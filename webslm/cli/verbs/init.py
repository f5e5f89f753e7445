"""Own the verb ``init``: a project's new folder."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from webslm.basics.paths import expanded
from webslm.basics.screen import say


def add(verbs: Any) -> None:
    """Add the verb's words."""
    parser = verbs.add_parser(
        "init", sentence="name one folder", hint="python -m webslm init my-assistant"
    )
    parser.add_argument("folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the project and say how it is built."""
    from webslm.cli.project.init import write_project

    folder = expanded(options.folder)
    write_project(folder)
    name = folder.resolve().name
    say(f"{folder} is ready: cd {shlex.quote(str(folder))} && python -m webslm recipe={name}")
    return 0
