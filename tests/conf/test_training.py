"""What the options of training change in a plan, and what they must not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from webslm.basics.errors import ConfigError
from webslm.compiler.targets import JOINED, SEPARATE
from webslm.config.checks.preflight import preflight
from webslm.config.compose import compose
from webslm.engine.plan import Step, plan
from webslm.schema import FinetuneStageConf


def steps(*overrides: str) -> dict[str, Step]:
    return {step.stage: step for step in plan(compose(list(overrides)))}


def changed(*overrides: str) -> set[str]:
    before, after = steps(), steps(*overrides)
    return {stage for stage in before if before[stage].key != after[stage].key}


def pairs(folder: Path, **changes: str) -> str:
    path = folder / "pairs.jsonl"
    pair = {"prompt": "Is salt a metal?", "chosen": "No. Ask a doctor.", "rejected": "Yes."}
    path.write_text(json.dumps({**pair, **changes}) + "\n", encoding="utf-8")
    return f"dpo.path={path}"


@pytest.mark.parametrize(
    "word",
    [
        "finetune=dora",
        "finetune=full",
        "lora.packing=true",
        "lora.max_steps=9",
        "lora.precision=float32",
    ],
)
def test_training_options_change_the_fine_tune_and_what_follows(word: str) -> None:
    found = changed(word)
    assert {"finetune", "merge", "convert", "bundle"} <= found
    assert not found & {"data", "base", "compile"}


def test_how_often_checkpoints_are_kept_changes_nothing() -> None:
    assert not changed("launch.checkpoint_seconds=5")
    assert not changed("launch.checkpoint_seconds=null")


def test_preferences_come_between_fine_tune_and_merge(tmp_path: Path) -> None:
    words = ["align=dpo", pairs(tmp_path)]
    preflight(compose(words))
    found = steps(*words)
    names = list(found)
    assert names.index("finetune") < names.index("align") < names.index("merge")
    assert found["align"].needs == ("data", "base", "finetune")
    assert found["merge"].needs == ("base", "finetune", "align", "data")
    assert found["finetune"].key == steps()["finetune"].key
    assert found["merge"].key != steps()["merge"].key
    # The pairs' text counts, not where they lie or how the rest of the group is unused.
    (tmp_path / "else").mkdir()
    again = steps("align=dpo", pairs(tmp_path / "else"))
    assert again["align"].key == found["align"].key
    other = steps("align=dpo", pairs(tmp_path, rejected="Perhaps."))
    assert other["align"].key != found["align"].key
    assert "align" not in steps()


def test_wrong_pairs_end_a_build_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pairs\.jsonl:1: chosen and rejected are the same"):
        preflight(compose(["align=dpo", pairs(tmp_path, rejected="No. Ask a doctor.")]))


def test_nothing_held_out_cannot_stop_a_training() -> None:
    words = ["lora.early_stopping_patience=1", "domain.held_out_path=null"]
    with pytest.raises(ConfigError, match="there are no held-out rows to stop by"):
        preflight(compose([*words, "data.held_out_fraction=0"]))
    preflight(compose([*words, "data.held_out_fraction=0.1"]))


@pytest.mark.parametrize(
    ("base", "expected"), [("tiny", SEPARATE), ("llama_3_2_1b", SEPARATE), ("phi_3_5_mini", JOINED)]
)
def test_no_targets_are_all_of_the_architecture(base: str, expected: tuple[str, ...]) -> None:
    conf = steps(f"base={base}", "lora.target_modules=[]")["finetune"].conf
    assert isinstance(conf, FinetuneStageConf)
    assert tuple(conf.lora.target_modules) == expected


def test_adapter_of_others_counts_by_its_files(tmp_path: Path) -> None:
    keys = []
    for name, text in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(text)
        words = ["finetune=adapter", f"adapter.path={tmp_path / name}"]
        keys.append(steps(*words)["finetune"].key)
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_a_cpu_trains_in_float32(kind: str) -> None:
    words = ["lora.device=cpu", f"lora.precision={kind}"]
    with pytest.raises(ConfigError, match=f"lora.precision: a CPU trains in float32, not {kind}"):
        preflight(compose(words))
    preflight(compose(["lora.device=cpu", "lora.precision=float32"]))
