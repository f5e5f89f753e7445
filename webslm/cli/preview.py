"""Own what a build would do and why: the plan and explanations, shown without work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webslm.basics.errors import ConfigError, WebslmError
from webslm.basics.paths import expanded
from webslm.basics.screen import Screen
from webslm.config import base_template
from webslm.config.checks import footprint
from webslm.config.own_texts import whose_texts
from webslm.engine.explain import explain
from webslm.engine.forecast import forecast
from webslm.engine.lock.file import read_lock
from webslm.engine.plan import Step
from webslm.engine.rounding_rule import rounding_lines
from webslm.engine.store.artifacts import Cache
from webslm.engine.store.remote import open_remote
from webslm.report.summary import show_plan
from webslm.schema import Config


def preview(cfg: Config, steps: Sequence[Step], cache: Cache, console: Screen) -> None:
    """Show what a build would do and why, and do nothing."""
    if cfg.dry_run:
        shared = open_remote(cfg.cache.remote, push=False)
        size = _no_size if shared is None else shared.size
        show_plan(console, steps, forecast(steps, cache, size))
        texts = [line] if (line := whose_texts(cfg)) is not None else []
        compiled = footprint.lines(cfg, _compiled(steps, cache))
        for line in (*texts, *base_template.lines(cfg), *rounding_lines(cfg), *compiled):
            console.print(line, soft_wrap=True)
    if cfg.explain is None:
        return
    if cfg.explain not in {step.stage for step in steps}:
        raise ConfigError(
            f"explain: this build has no stage {cfg.explain!r}",
            hint=", ".join(step.stage for step in steps),
        )
    for line in explain(steps, cfg.explain, cache, _locked_keys(cfg)):
        console.print(line, soft_wrap=True)


def _compiled(steps: Sequence[Step], cache: Cache) -> dict[str, Any] | None:
    """Return what is known of the library's memory; None: it is not stored."""
    step = next((step for step in steps if step.stage == "compile"), None)
    stored = None if step is None else cache.lookup(step.stage, step.key)
    found = None if stored is None else stored.metrics.get("memory")
    return found if isinstance(found, dict) else None


def _no_size(stage: str, key: str) -> None:
    """Know of no shared store."""


def _locked_keys(cfg: Config) -> dict[str, str]:
    """Return the key of every stage in the last build of this output, if there was one."""
    try:
        stages = read_lock(expanded(cfg.output_dir))["stages"]
        return {stage: str(entry["key"]) for stage, entry in stages.items()}
    except (WebslmError, KeyError, TypeError, AttributeError):
        return {}
