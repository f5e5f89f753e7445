"""Own the verb ``lock``: a build's record checked, compared, built again, brought up."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.screen import say
from webslm.cli.verbs.words import add_action

HINT = (
    "python -m webslm lock check FOLDER; also lock diff A B, lock reproduce FOLDER --own-tools and "
    "lock upgrade FOLDER runtime=ROW"
)


def add(verbs: Any) -> None:
    """Add the verb's words."""
    parser = verbs.add_parser("lock", sentence="say what to do with which folder", hint=HINT)
    actions = parser.add_subparsers(dest="action", required=True)
    check = add_action(actions, parser, "check")
    check.add_argument("folder", type=Path)
    check.set_defaults(run=_check)
    diff = add_action(actions, parser, "diff")
    diff.add_argument("first", type=Path)
    diff.add_argument("second", type=Path)
    diff.set_defaults(run=_diff)
    reproduce = add_action(actions, parser, "reproduce")
    reproduce.add_argument("folder", type=Path)
    reproduce.add_argument("--own-tools", action="store_true")
    reproduce.set_defaults(run=_reproduce)
    upgrade = add_action(actions, parser, "upgrade")
    upgrade.add_argument("folder", type=Path)
    upgrade.add_argument("row")
    upgrade.set_defaults(run=_upgrade)


def _check(options: argparse.Namespace) -> int:
    from webslm.engine.lock.file import check_lock

    say(f"{check_lock(options.folder)} files are as the lock says")
    return 0


def _diff(options: argparse.Namespace) -> int:
    from webslm.engine.lock.difference import compare, delivered_bytes
    from webslm.engine.lock.file import read_lock

    first, second = options.first, options.second
    one, other = read_lock(first), read_lock(second)
    found = compare(one, other)
    if found.stage is not None:
        say(f"{found.stage} is the first stage that differs")
        for cause in found.causes:
            say(f"  {cause}")
        if found.followers:
            say(f"and so do {', '.join(found.followers)}")
    places = [] if found.stage else list(delivered_bytes(one, first, other, second))
    for place in places:
        say(f"the locks agree, the files do not: {place}")
    for line in found.machine:
        say(f"machine: {line}")
    if found.stage is None and not places:
        say("no stage differs")
        return 0
    return 6


def _reproduce(options: argparse.Namespace) -> int:
    from webslm.basics.paths import cache_dir
    from webslm.basics.screen import Screen
    from webslm.cli.reproduce import discard, reproduce
    from webslm.config.compose import restore
    from webslm.engine.lock.file import read_lock
    from webslm.engine.store.artifacts import Cache
    from webslm.report.summary import LiveDisplay

    folder = options.folder
    found = read_lock(folder)
    cfg = restore(found["config"])
    cfg.dry_run, cfg.force, cfg.verify.browser = False, [], None
    store = Path(tempfile.mkdtemp(prefix="webslm-reproduce-"))
    try:
        told = reproduce(
            found,
            cfg,
            output=folder if folder.is_dir() else folder.parent,
            store=store,
            known=Cache(cache_dir()),
            display=LiveDisplay(Screen()),
            own_tools=options.own_tools,
        )
    finally:
        discard(store)
    for line in told:
        say(line)
    return 0


def _upgrade(options: argparse.Namespace) -> int:
    from webslm.basics.screen import Screen
    from webslm.cli.build import build
    from webslm.config.compose import restore
    from webslm.engine.lock.file import read_lock
    from webslm.engine.machine.matrix import rows
    from webslm.engine.machine.pins import for_python
    from webslm.engine.plan import plan
    from webslm.schema import PublishConf

    folder, (key, _, row) = options.folder, options.row.partition("=")
    known = rows()
    if key != "runtime" or row not in known:
        raise ConfigError(
            f"lock upgrade: {options.row!r} is not a matrix row",
            hint=f"runtime=ROW with one of {', '.join(known)}",
        )
    found = read_lock(folder)
    cfg = restore(found["config"])
    cfg.output_dir, cfg.dry_run, cfg.force = str(folder), False, []
    cfg.runtime = for_python(known[row])
    cfg.publish = PublishConf()
    steps = plan(cfg)
    kept = [step.stage for step in steps if step.key == _key(found, step.stage)]
    say(f"kept     {', '.join(kept) or 'nothing'}")
    say(f"rebuilt  {', '.join(s.stage for s in steps if s.stage not in kept) or 'nothing'}")
    build(cfg, _command(found["command"], row), Screen())
    return 0


def _key(found: Mapping[str, Any], stage: str) -> str | None:
    key: str | None = found["stages"].get(stage, {}).get("key")
    return key


def _command(command: Sequence[str], row: str) -> list[str]:
    return [*(word for word in command if not word.startswith("runtime=")), f"runtime={row}"]
