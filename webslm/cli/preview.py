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
from webslm.engine.look import Planned
from webslm.engine.rounding_rule import rounding_lines
from webslm.engine.store.artifacts import Cache
from webslm.report.summary import show_plan
from webslm.schema import Config


def preview(cfg: Config, planned: Sequence[Planned], cache: Cache, console: Screen) -> None:
    """Show what a build would do and why, and do nothing."""
    if cfg.dry_run:
        show_plan(console, [each.step for each in planned], forecast(planned, cache))
        texts = [line] if (line := whose_texts(cfg)) is not None else []
        compiled = footprint.lines(cfg, _compiled(planned))
        for line in (*texts, *base_template.lines(cfg), *rounding_lines(cfg), *compiled):
            console.print(line, soft_wrap=True)
    if cfg.explain is None:
        return
    names = [each.step.stage for each in planned]
    if cfg.explain not in names:
        raise ConfigError(
            f"explain: this build has no stage {cfg.explain!r}", hint=", ".join(names)
        )
    for line in explain(planned, cfg.explain, cache, _locked_keys(cfg)):
        console.print(line, soft_wrap=True)


def _compiled(planned: Sequence[Planned]) -> dict[str, Any] | None:
    """Return what is known of the library's memory; None: it is not stored."""
    library = next((each.hit for each in planned if each.step.stage == "compile"), None)
    memory = None if library is None else library.metrics.get("memory")
    return memory if isinstance(memory, dict) else None


def _locked_keys(cfg: Config) -> dict[str, str]:
    """Return the key of every stage in the last build of this output, if there was one."""
    try:
        stages = read_lock(expanded(cfg.output_dir))["stages"]
        return {stage: str(entry["key"]) for stage, entry in stages.items()}
    except (WebslmError, KeyError, TypeError, AttributeError):
        return {}
