"""Own which artifacts recipes and locks in sight still want."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from webslm.basics.errors import WebslmError
from webslm.basics.paths import (
    RECIPE_GROUP,
    RECIPES_SCHEME,
    conf_dirs,
    group_dirs,
    recipes_dirs,
)
from webslm.config.compose import compose
from webslm.engine.base_source import either
from webslm.engine.lock.file import LOCK_NAME
from webslm.engine.plan import plan

log = logging.getLogger(__name__)


def wanted_keys() -> set[str]:
    """Return the keys that every recipe, shipped or of this project, would build.

    The locks below ``outputs/`` of the current folder count as recipes too: what they name can be
    delivered again without work. A recipe that does not compose wants nothing.
    """
    keys: set[str] = set()
    own = [f"'file://{folder}'" for folder in conf_dirs()[1:]]
    own += [f"'{RECIPES_SCHEME}://{folder}'" for folder in recipes_dirs()[1:]]
    words = [f"hydra.searchpath=[{','.join(own)}]"] if own else []
    for folder in (folder for group, folder in group_dirs() if group == RECIPE_GROUP):
        for path in sorted(folder.glob("*.yaml")):
            try:
                builds = either(compose([*words, f"recipe={path.stem}"]))
                steps = [step for build in builds for step in plan(build)]
            except (WebslmError, OSError) as exc:
                log.warning("recipe %s wants nothing: %s", path.stem, exc)
                continue
            keys |= {step.key for step in steps}
    for lock in Path("outputs").glob(f"*/{LOCK_NAME}"):
        try:
            stages = json.loads(lock.read_text(encoding="utf-8"))["stages"]
            keys |= {stage["key"] for stage in stages.values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            log.warning("%s wants nothing: %s", lock, exc)
    return keys
