"""Own the verbs ``lock``, ``recipe`` and ``doctor``: words to calls, results to lines."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.screen import say

LOCK_USAGE = (
    "lock check FOLDER; also lock diff A B, lock reproduce FOLDER --own-tools and "
    "lock upgrade FOLDER runtime=ROW"
)
Words = list[str]


def lock(words: Words) -> int:
    """Run ``lock check|diff|reproduce|upgrade``; diff ends with 6 where builds differ."""
    verb, rest = (words[0], words[1:]) if words else ("", [])
    counts: Mapping[str, tuple[int, Callable[[Words], int]]] = {
        "check": (1, _check),
        "diff": (2, _diff),
        "reproduce": (1, _reproduce),
        "upgrade": (2, _upgrade),
    }
    number, call = counts.get(verb, (0, _check))
    plain_words = [word for word in rest if word != "--own-tools"]
    if verb not in counts or len(plain_words) != number:
        raise ConfigError(
            "lock: say what to do with which folder", hint=f"python -m webslm {LOCK_USAGE}"
        )
    return call(rest)


def recipe(words: Words) -> int:
    """Run ``recipe freeze FOLDER [FILE]``; without a file the recipe goes to the screen."""
    from webslm.basics.fs import write_text
    from webslm.basics.paths import RECIPE_GROUP, recipes_dirs
    from webslm.cli.recipe import freeze
    from webslm.engine.lock.file import read_lock

    if len(words) not in (2, 3) or words[0] != "freeze":
        raise ConfigError(
            "recipe: say what to freeze",
            hint="python -m webslm recipe freeze FOLDER my_conf/recipe/NAME.yaml",
        )
    text = freeze(read_lock(Path(words[1])))
    if len(words) == 2:
        sys.stdout.write(text)
        return 0
    file = Path(words[2])
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


def doctor(words: Words) -> int:
    """Run ``doctor [GROUP=OPTION] [KEY=VALUE]``: 3 where something needed is missing.

    ``doctor data=FILE`` looks at a dataset instead: 2 where its rows cannot be used.
    """
    from webslm.basics.screen import Screen
    from webslm.cli.dataset_doctor import asked, diagnose, overrides
    from webslm.config.compose import compose

    if asked(words):
        diagnose(Screen(), compose(overrides(words)))
        return 0
    from webslm.cli.doctor import examine, show

    findings = examine(compose(words))
    show(Screen(), findings)
    return 3 if any(finding.state == "missing" for finding in findings) else 0


def _check(words: Words) -> int:
    from webslm.engine.lock.file import check_lock

    say(f"{check_lock(Path(words[0]))} files are as the lock says")
    return 0


def _diff(words: Words) -> int:
    from webslm.engine.lock.difference import compare, delivered_bytes
    from webslm.engine.lock.file import read_lock

    first, second = Path(words[0]), Path(words[1])
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


def _reproduce(words: Words) -> int:
    from webslm.basics.paths import cache_dir
    from webslm.basics.screen import Screen
    from webslm.cli.reproduce import discard, reproduce
    from webslm.config.compose import restore
    from webslm.engine.lock.file import read_lock
    from webslm.engine.store.artifacts import Cache
    from webslm.report.summary import LiveDisplay

    folder = Path(next(word for word in words if word != "--own-tools"))
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
            own_tools="--own-tools" in words,
        )
    finally:
        discard(store)
    for line in told:
        say(line)
    return 0


def _upgrade(words: Words) -> int:
    from webslm.basics.screen import Screen
    from webslm.cli.build import build
    from webslm.config.compose import restore
    from webslm.engine.lock.file import read_lock
    from webslm.engine.machine.matrix import rows
    from webslm.engine.machine.pins import for_python
    from webslm.engine.plan import plan
    from webslm.schema import PublishConf

    folder, (key, _, row) = Path(words[0]), words[1].partition("=")
    known = rows()
    if key != "runtime" or row not in known:
        raise ConfigError(
            f"lock upgrade: {words[1]!r} is not a matrix row",
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
