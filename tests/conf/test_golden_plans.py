"""What a recipe's keys are made of changes by decision only: ``python -m scripts.golden_plans``."""

from __future__ import annotations

import json

import pytest

from scripts.golden_plans import FILE, golden_plan, recipes

GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))


def test_every_recipe_has_its_plan() -> None:
    assert list(GOLDEN) == recipes()


@pytest.mark.parametrize("recipe", list(GOLDEN))
def test_recipe_plans_what_it_planned(recipe: str) -> None:
    assert golden_plan(recipe) == GOLDEN[recipe]
