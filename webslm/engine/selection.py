"""Own which steps of a plan a build takes: from, until, only, force. Touch nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from webslm.basics.errors import ConfigError
from webslm.engine.plan import Step
from webslm.schema import Config


def select(steps: Sequence[Step], cfg: Config, is_stored: Callable[[Step], bool]) -> list[Step]:
    """Return the steps to walk, those that must run again marked.

    ``only`` ends the walk after one stage and insists that all before it is stored; ``from_stage``
    runs that stage and every later one again.

    Args:
        steps: The whole plan, in order, ``until`` and ``force`` already in it.
        cfg: The configuration.
        is_stored: Whether a step's artifact can be had without work.

    Raises:
        ConfigError: A stage named by ``only`` or ``from_stage`` is not part of this build, or what
            ``only`` reads is not stored.
    """
    names = [step.stage for step in steps]
    for key, name in (("only", cfg.only), ("from", cfg.from_stage)):
        if name is not None and name not in names:
            raise ConfigError(f"{key}: this build has no stage {name!r}", hint=", ".join(names))
    chosen = list(steps)
    if cfg.from_stage is not None:
        first = names.index(cfg.from_stage)
        chosen = [
            replace(step, forced=step.forced or place >= first) for place, step in enumerate(steps)
        ]
    if cfg.only is None:
        return chosen
    last = chosen[names.index(cfg.only)]
    needed = _ancestors(chosen, last)
    missing = [step.stage for step in needed if not is_stored(step)]
    if missing:
        raise ConfigError(
            f"only={cfg.only}: what it reads is not stored: {', '.join(missing)}",
            hint=f"until={cfg.only} makes it",
        )
    return [*(replace(step, forced=False) for step in needed), last]


def _ancestors(steps: Sequence[Step], last: Step) -> list[Step]:
    """Return what ``last`` reads, directly or not, in the order of the plan."""
    by_name = {step.stage: step for step in steps}
    wanted: set[str] = set()
    waiting = list(last.needs)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += by_name[name].needs
    return [step for step in steps if step.stage in wanted]
