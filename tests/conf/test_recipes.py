"""Every shipped recipe composes, plans and documents itself."""

from __future__ import annotations

import pytest

from webslm.basics.paths import recipes_dir
from webslm.config.checks.values import validate
from webslm.config.compose import compose
from webslm.engine.plan import plan
from webslm.engine.table import STAGES

RECIPES = sorted(path.stem for path in recipes_dir().glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_composes_and_plans_every_stage(recipe: str) -> None:
    cfg = compose([f"recipe={recipe}"])
    validate(cfg)
    assert [step.stage for step in plan(cfg)] == [spec.name for spec in STAGES if spec.wanted(cfg)]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_names_its_command_and_size(recipe: str) -> None:
    text = (recipes_dir() / f"{recipe}.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1] == f"# python -m webslm recipe={recipe}"
    header = " ".join(line for line in lines[2:] if line.startswith("#"))
    assert "MB" in header
    assert len(lines) <= 25


def test_recipe_chooses_base_which_chooses_lora() -> None:
    cfg = compose(["recipe=medical_qwen2_5_0_5b"])
    assert (cfg.base.name, cfg.lora.r, cfg.lora.max_length) == ("qwen2_5_0_5b", 16, 1024)


@pytest.mark.parametrize(
    "recipe", [name for name in RECIPES if "_coder_" in name or "_math_" in name]
)
def test_recipe_whose_base_knows_its_domain_tunes_nothing(recipe: str) -> None:
    stages = [step.stage for step in plan(compose([f"recipe={recipe}"]))]
    assert "finetune" not in stages
    assert "finetune" in [
        step.stage for step in plan(compose([f"recipe={recipe}", "finetune=lora"]))
    ]


def test_command_line_beats_recipe() -> None:
    cfg = compose(["recipe=legal_tiny", "quant=q0f32", "domain=medical", "lora.r=3"])
    assert (cfg.domain.name, cfg.quant.name, cfg.lora.r) == ("medical", "q0f32", 3)


def test_recipe_equals_the_words_it_stands_for() -> None:
    words = ["domain=medical", "base=tiny", "quant=q4f32_1"]
    assert compose(["recipe=medical_tiny"]) == compose(words)
