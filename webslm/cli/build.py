"""Own one build from a configuration to a delivered site, a step after the other. Know no Hydra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from webslm.basics.paths import cache_dir
from webslm.basics.screen import Screen
from webslm.basics.stage import Result
from webslm.cli.deliver import deliver, tell
from webslm.cli.preview import preview
from webslm.cli.walk import output_dir, walk
from webslm.config.checks.precision import left_out, settled, unsettled
from webslm.config.checks.preflight import check_pins, notices, preflight
from webslm.config.own_texts import whose_texts
from webslm.engine.base_source import settle
from webslm.engine.look import Planned, Stores
from webslm.engine.plan import plan
from webslm.engine.selection import select
from webslm.engine.store.artifacts import Cache
from webslm.engine.store.remote import open_remote
from webslm.publish import run as publishing
from webslm.schema import Config, Precision


@dataclass(frozen=True, kw_only=True)
class Build:
    """One build on its way: what was asked, and what its steps found and made so far."""

    cfg: Config
    command: Sequence[str]
    console: Screen
    stores: Stores
    undecided: bool = False
    """Whether its precision will only be known when calibration ran, which a preview never does."""
    planned: Sequence[Planned] = ()
    """The steps to walk, as both stores were seen."""
    results: Sequence[Result] = ()

    def say(self, line: str | None) -> None:
        """Print a line, if there is one."""
        if line is not None:
            self.console.print(line, soft_wrap=True)


def build(cfg: Config, command: Sequence[str], console: Screen) -> list[Result]:
    """Build, deliver to ``cfg.output_dir`` and show it; a dry run only shows the plan.

    Raises:
        WebslmError: What stopped the build; report.json holds it too. A PublishError comes after
            the build was delivered.
    """
    preflight(cfg)
    stores = open_stores(cfg)
    asked = Build(cfg=cfg, command=command, console=console, stores=stores)
    steps = SHOW if is_preview(cfg) else MAKE
    return list(reduce(lambda so_far, step: step(so_far), steps, asked).results)


def is_preview(cfg: Config) -> bool:
    """Return whether a build is only told of, and nothing is made."""
    return cfg.dry_run or cfg.explain is not None


def open_stores(cfg: Config) -> Stores:
    """Return this machine's store, and the shared one that the configuration or machine names.

    Raises:
        ConfigError: The shared one cannot be opened.
    """
    shared = open_remote(cfg.cache.remote, push=cfg.cache.push)
    return Stores(local=Cache(cache_dir()), shared=shared)


def look(cfg: Config, stores: Stores) -> list[Planned]:
    """Return the steps that a build takes, with what the stores hold of them.

    Raises:
        ConfigError: A named file is absent or not the pinned one, or ``only`` or ``from`` names
            what this build cannot begin with.
    """
    steps = plan(cfg)
    check_pins(cfg, steps)
    return select(stores.look(steps, cfg.force), cfg)


def _notice(build: Build) -> Build:
    for line in notices(build.cfg):
        build.say(line)
    return build


def _choose_source(build: Build) -> Build:
    cfg, line = settle(build.cfg, build.stores)
    build.say(line)
    return replace(build, cfg=cfg)


def _choose_precision(build: Build) -> Build:
    """Calibrate where the precision follows from it; a build that ends before is left as it is."""
    cfg = build.cfg
    if cfg.precision is Precision.declared:
        return build
    planned = build.stores.look(plan(unsettled(cfg)), cfg.force)
    names = tuple(each.step.stage for each in planned)
    ran: tuple[str, ...] = ()
    if cfg.until in names[:-1] or cfg.only in names[:-1]:
        return build
    if any(each.forced for each in planned) or planned[-1].hit is None:
        if is_preview(cfg):
            return replace(build, undecided=True)
        metrics, ran = _walk(replace(build, planned=planned)).results[-1].metrics, names
    else:
        metrics = planned[-1].hit.metrics
    chosen = settled(cfg, metrics, ran)
    build.say(left_out(cfg, chosen, metrics))
    return replace(build, cfg=chosen)


def _look(build: Build) -> Build:
    cfg = unsettled(build.cfg) if build.undecided else build.cfg
    return replace(build, planned=look(cfg, build.stores))


def _preview(build: Build) -> Build:
    preview(build.cfg, build.planned, build.stores.local, build.console)
    if build.undecided:
        build.say("the rest follows from what calibrate finds")
    return build


def _check_target(build: Build) -> Build:
    publishing.check(build.cfg.publish, build.cfg.name)
    build.say(whose_texts(build.cfg))
    return build


def _walk(build: Build) -> Build:
    results = walk(build.cfg, build.command, build.planned, build.stores, build.console)
    return replace(build, results=results)


def _deliver(build: Build) -> Build:
    steps, output = [each.step for each in build.planned], output_dir(build.cfg)
    deliver(build.cfg, build.command, steps, build.results, output)
    tell(build.results, output, build.console)
    return build


def _publish(build: Build) -> Build:
    cfg = build.cfg
    publishing.publish(cfg.publish, cfg.host, output_dir(cfg), build.console)
    return build


PLAN: tuple[Callable[[Build], Build], ...] = (_notice, _choose_source, _choose_precision, _look)
SHOW = (*PLAN, _preview)
MAKE = (*PLAN, _check_target, _walk, _deliver, _publish)
