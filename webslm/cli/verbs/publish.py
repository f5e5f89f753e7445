"""Own the verb ``publish``: a finished build's folder and where it goes, to a publication."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.screen import Screen

USAGE = "python -m webslm publish FOLDER publish=pages; also folder, hub and release"


def add(verbs: Any) -> None:
    """Add the verb's words."""
    parser = verbs.add_parser("publish", hint=USAGE)
    parser.add_argument("words", nargs="*")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run ``publish FOLDER publish=TARGET [publish.KEY=VALUE] [host=HOST]``."""
    from webslm.config.checks.publish import target_problems
    from webslm.config.compose import compose
    from webslm.engine.lock.file import read_lock
    from webslm.publish.run import check, publish
    from webslm.schema import Target

    folders = [word for word in options.words if "=" not in word]
    wishes = [word for word in options.words if "=" in word]
    odd = [w for w in wishes if w.partition("=")[0].partition(".")[0] not in ("publish", "host")]
    if len(folders) != 1 or odd:
        raise ConfigError(
            f"publish: {odd[0]!r} builds, it does not publish" if odd else "publish: which build?",
            hint=USAGE,
        )
    output = Path(folders[0])
    name = str(read_lock(output)["name"])
    # Paths of the options are made of the build's name.
    cfg = compose([*wishes, f"name={name}"])
    if cfg.publish.target is Target.none:
        raise ConfigError("publish: nowhere to go", hint=USAGE)
    if problems := tuple(target_problems(cfg.publish)):
        raise ConfigError(problems=problems)
    check(cfg.publish, name)
    publish(cfg.publish, cfg.host, output, Screen())
    return 0
