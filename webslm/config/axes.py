"""Own the reading of a sweep's command line: axes, jobs, folder. It knows Hydra."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.keys import text_digest
from webslm.config.compose import compose_raw, composition_errors, explain, initialized
from webslm.config.freeform import explicit, typed
from webslm.config.mistakes import syntax_problem


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What the command line asks for, before any job is looked at."""

    words: tuple[str, ...]
    jobs: tuple[tuple[str, ...], ...]
    """Overrides of every job; empty when the sweeper finds them as it goes."""
    fixed: tuple[str, ...]
    swept: tuple[str, ...]
    """Keys that differ between jobs."""
    folder: Path
    launcher: str
    metric: str | None
    paths: tuple[str, ...] = ()
    """Overrides that say where the user's own options lie."""
    naming: tuple[str, ...] = ()
    """Swept keys that the names of the jobs must show to be distinct."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One override of a sweep, read."""

    key: str
    swept: bool
    hydra: bool
    """Whether it is about Hydra itself."""
    choices: tuple[str, ...]
    """Each choice as an override; empty for an interval."""


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """What of Hydra's own configuration decides how a sweep goes."""

    launcher: str
    is_basic_sweeper: bool
    params: dict[str, str] | None
    """``hydra.sweeper.params``."""
    folder: str | None
    """``hydra.sweep.dir`` where the user set it."""
    name: str | None
    metric: str | None


def parse_overrides(overrides: Sequence[str]) -> list[Axis]:
    """Return the overrides with their choices in order.

    Raises:
        ConfigError: Holds every override that cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found, problems = [], []
    with initialized() as loader:
        parser = OverridesParser.create(config_loader=loader)
        for word in overrides:
            try:
                # One at a time to find all that cannot be read; the plural knows of glob().
                found.append(_axis(parser.parse_overrides([word])[0]))
            except composition_errors() as exc:
                problems.append(syntax_problem(exc, word))
    if problems:
        raise ConfigError(problems=tuple(problems))
    return found


def _axis(override: Any) -> Axis:
    key = override.get_key_element()
    if override.is_sweep_override():
        values = override.sweep_string_iterator() if override.is_discrete_sweep() else ()
        choices = tuple(explicit(f"{key}={value}") for value in values)
    elif override.is_delete():
        choices = (override.input_line,)
    else:
        choices = (f"{key}={override.get_value_element_as_str()}",)
    return Axis(
        key=key.lstrip("+~"),
        swept=override.is_sweep_override(),
        hydra=override.is_hydra_override(),
        choices=choices,
    )


def hydra_settings(overrides: Sequence[str]) -> SweepSettings:
    """Return how the overrides (without the swept ones) want the sweep to go.

    Raises:
        ConfigError: Holds every override that cannot be.
    """
    from omegaconf import OmegaConf

    try:
        raw = compose_raw(overrides, hydra=True)
    except composition_errors() as exc:
        raise explain(exc, overrides) from exc
    sweeper = raw.hydra.sweeper
    params = OmegaConf.to_container(sweeper.params) if sweeper.get("params") else None
    given = any(word.startswith("hydra.sweep.dir=") for word in overrides)
    return SweepSettings(
        launcher=str(raw.hydra.launcher._target_).rpartition(".")[2],
        is_basic_sweeper=str(sweeper._target_).endswith(".BasicSweeper"),
        params=params,  # type: ignore[arg-type]  # a mapping of strings by its schema
        folder=str(raw.hydra.sweep.dir) if given else None,
        name=raw.sweep.name,
        metric=raw.sweep.metric,
    )


def read_sweep(words: Sequence[str]) -> Sweep:
    """Return what the words ask for.

    Raises:
        ConfigError: Words that cannot be read, keys without values, a search without a metric.
    """
    overrides = typed([word for word in words if not word.startswith("-")], sweep=True)
    parsed = parse_overrides(overrides)
    fixed = [word for word, each in zip(overrides, parsed, strict=True) if not each.swept]
    settings = hydra_settings(fixed)
    mine = {each.key for each in parsed}
    params = [f"{key}={value}" for key, value in (settings.params or {}).items()]
    chosen = parse_overrides(typed(params, sweep=True))
    axes = [each for each in chosen if each.key not in mine] + parsed
    axes = [each for each in axes if not each.hydra]
    swept = tuple(dict.fromkeys(each.key for each in axes if each.swept))
    name = settings.name or _default_name(swept, overrides)
    return Sweep(
        words=tuple(words),
        jobs=_jobs(axes, settings),
        fixed=tuple(word for word in fixed if not word.startswith(("hydra.", "hydra/"))),
        swept=swept,
        folder=Path(settings.folder or Path("outputs") / "sweeps" / name).resolve(),
        launcher=settings.launcher,
        metric=settings.metric,
        naming=swept,
        paths=tuple(word for word in words if word.startswith("hydra.searchpath=")),
    )


def _jobs(axes: Sequence[Axis], settings: SweepSettings) -> tuple[tuple[str, ...], ...]:
    if not settings.is_basic_sweeper:
        if settings.metric is None:
            raise ConfigError(
                "sweep.metric: is not set, and the sweeper needs a number to improve",
                hint="such as sweep.metric=verify.rouge_l or sweep.metric=finetune.last_loss",
            )
        return ()
    empty = [each.key for each in axes if not each.choices]
    if empty:
        raise ConfigError(
            problems=tuple(
                (f"{key}: names no value to try", "a list such as KEY=1,2; intervals need a search")
                for key in empty
            )
        )
    return tuple(itertools.product(*(each.choices for each in axes)))


def _default_name(swept: Sequence[str], overrides: Sequence[str]) -> str:
    """Return one name for one command: running it again is running the same sweep again."""
    leaves = [key.rpartition(".")[2].replace("/", "_") for key in swept]
    digest = text_digest("\n".join(sorted(overrides)))[:6]
    return "-".join([*leaves[:4], digest])
