"""Own ``doctor data=FILE``: a dataset examined before anything is built from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.paths import cache_dir, resolve_data
from webslm.config.checks.data import problems
from webslm.engine.base_source import either
from webslm.engine.plan import plan
from webslm.engine.store.artifacts import Cache
from webslm.engine.table import BY_NAME
from webslm.report.terminal import show_rows, show_tokens
from webslm.rows.examination import examine
from webslm.schema import BaseSource, Config, DataStageConf

WORD = "data"


def asked(words: Sequence[str]) -> bool:
    """Return whether ``doctor``'s words are about a dataset: ``data``, ``data=`` or ``data.``."""
    return any(word.partition("=")[0].split(".")[0] == WORD for word in words)


def overrides(words: Sequence[str]) -> list[str]:
    """Return the words as overrides: ``data=FILE`` is short for ``data.path=FILE``."""
    kept = [word for word in words if word != WORD]
    return [
        f"data.path={word.partition('=')[2]}" if word.startswith("data=") else word for word in kept
    ]


def diagnose(console: Any, cfg: Config) -> None:
    """Print what there is to know of a configuration's rows.

    Raises:
        ConfigError: The rows cannot be used; holds every problem.
        EnvironmentMismatch: A hub dataset cannot be had.
    """
    from webslm.stages.data import open_split, refuse

    wrong = tuple(problems(cfg.data))
    if wrong:
        raise ConfigError(problems=wrong)
    conf = BY_NAME["data"].configure(cfg)
    assert isinstance(conf, DataStageConf)
    split = open_split(conf.data, cache_dir())
    stats = examine(split, conf.data)
    show_rows(console, stats)
    base = base_folder(cfg)
    if base is None:
        console.print(
            f"\nlengths in tokens, the loss mask and the steps need the base {cfg.base.name}, "
            f"which is not in the store\n         type: python -m webslm base={cfg.base.name} "
            "only=base",
            soft_wrap=True,
        )
    else:
        from webslm.evaluation.inspection import inspect_rows

        rows = [list(row.messages) for row in split.train]
        context = cfg.compiler.context_window_size
        show_tokens(console, inspect_rows(base, rows, lora=cfg.lora, context=context))
    refuse(stats, conf.data)


def base_folder(cfg: Config) -> Path | None:
    """Return a folder with the base's tokenizer, or None where the base was never made here."""
    if cfg.base.source is BaseSource.local and cfg.base.path is not None:
        return resolve_data(cfg.base.path)
    cache = Cache(cache_dir())
    for choice in either(cfg):
        step = next(step for step in plan(choice) if step.stage == "base")
        found = cache.lookup("base", step.key)
        if found is not None:
            return found.path
    return None
