"""Write tests/resources/golden_plans.json: of each recipe, what its steps' keys are made of.

``python -m scripts.golden_plans`` regenerates it; ``tests/conf/test_golden_plans.py`` fails when a
recipe plans anything else. Code is left out: it changes with every commit.
"""

from __future__ import annotations

import json
from typing import Any

from webslm.basics.paths import PACKAGE, recipes_dir
from webslm.config.compose import compose
from webslm.engine.plan import plan

FILE = PACKAGE.parent / "tests" / "resources" / "golden_plans.json"
RECORDED = ("config", "files", "wheels")


def recipes() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in recipes_dir().glob("*.yaml"))


def golden_plan(recipe: str) -> dict[str, Any]:
    """Return configuration, files, wheels and needs of each step of a recipe's plan, by stage."""
    return {
        step.stage: {
            **{kind: step.ingredients[kind] for kind in RECORDED},
            "needs": list(step.needs),
        }
        for step in plan(compose([f"recipe={recipe}"]))
    }


def main() -> None:
    """Write the file."""
    plans = {recipe: golden_plan(recipe) for recipe in recipes()}
    FILE.write_text(json.dumps(plans, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
