"""A frozen recipe composes to the very configuration that its lock records."""

from __future__ import annotations

from pathlib import Path

import pytest

from webslm.basics.errors import ConfigError
from webslm.basics.keys import plain
from webslm.cli.recipe import freeze
from webslm.config.checks.preflight import check_pins
from webslm.config.compose import compose
from webslm.engine.plan import plan


def frozen(tmp_path: Path, *words: str) -> list[str]:
    """Freeze a build of ``words`` and return the words that build it from its recipe."""
    cfg = compose(list(words))
    lock = {
        "name": cfg.name,
        "webslm": "0",
        "config": plain(cfg),
        "matrix": {"python": "3", "row": cfg.runtime.name, "browser": None},
        "stages": {step.stage: {"inputs": dict(step.files)} for step in plan(cfg)},
    }
    (tmp_path / "recipe").mkdir(exist_ok=True)
    (tmp_path / "recipe" / "frozen.yaml").write_text(freeze(lock), encoding="utf-8")
    return [f"hydra.searchpath=['file://{tmp_path}']", "recipe=frozen"]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("domain=legal", "quant=q0f32", "lora.r=4", "name='1.10'"),
        ("base=qwen2_5_0_5b", "runtime=web_llm_0_2_84", "verify.graphics=hardware"),
        # A commit that YAML would read as infinity, and text that looks like an interpolation.
        ("base=qwen2_5_0_5b", "domain.title='79e6032'", r"domain.closing='a\${b}$'"),
    ],
)
def test_frozen_recipe_has_the_same_values_and_keys(tmp_path: Path, words: tuple[str, ...]) -> None:
    before = compose(list(words))
    after = compose(frozen(tmp_path, *words))
    assert {**plain(after), "pins": {}} == plain(before)
    assert [step.key for step in plan(after)] == [step.key for step in plan(before)]


def test_changed_file_is_refused_by_its_pin(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("one")
    cfg = compose(frozen(tmp_path, f"data.path={rows}"))
    check_pins(cfg, plan(cfg))
    rows.write_text("two")
    with pytest.raises(ConfigError, match=r"pins\.data\.path\.0"):
        check_pins(cfg, plan(cfg))


def test_command_line_still_beats_a_frozen_recipe(tmp_path: Path) -> None:
    assert compose([*frozen(tmp_path), "lora.r=3"]).lora.r == 3
