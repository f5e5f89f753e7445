"""Own which steps of a plan a build takes: from, until, only. Touch nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from webslm.basics.errors import ConfigError
from webslm.engine.look import Planned
from webslm.schema import Config


def select(planned: Sequence[Planned], cfg: Config) -> list[Planned]:
    """Return the steps to walk, those that must run again marked.

    ``only`` ends the walk after one stage and insists that all before it is stored; ``from_stage``
    runs that stage and every later one again.

    Args:
        planned: The whole plan, in order, ``until`` and ``force`` already in it.
        cfg: The configuration.

    Raises:
        ConfigError: A stage named by ``only`` or ``from_stage`` is not part of this build, or what
            ``only`` reads is not stored.
    """
    names = [each.step.stage for each in planned]
    for key, name in (("only", cfg.only), ("from", cfg.from_stage)):
        if name is not None and name not in names:
            raise ConfigError(f"{key}: this build has no stage {name!r}", hint=", ".join(names))
    taken = list(planned)
    if cfg.from_stage is not None:
        first = names.index(cfg.from_stage)
        taken = [
            replace(each, forced=each.forced or place >= first)
            for place, each in enumerate(planned)
        ]
    if cfg.only is None:
        return taken
    last = taken[names.index(cfg.only)]
    needed = _ancestors(taken, last)
    missing = [each.step.stage for each in needed if not each.stored]
    if missing:
        raise ConfigError(
            f"only={cfg.only}: what it reads is not stored: {', '.join(missing)}",
            hint=f"until={cfg.only} makes it",
        )
    return [*(replace(each, forced=False) for each in needed), last]


def _ancestors(planned: Sequence[Planned], last: Planned) -> list[Planned]:
    """Return what ``last`` reads, directly or not, in the order of the plan."""
    needs = {each.step.stage: each.step.needs for each in planned}
    wanted: set[str] = set()
    waiting = list(last.step.needs)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += needs[name]
    return [each for each in planned if each.step.stage in wanted]
