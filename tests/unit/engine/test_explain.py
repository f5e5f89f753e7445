"""Why a stage will run, and what it will cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.keys import lines_digest, plain, tree_digest, tree_lines
from webslm.basics.paths import PACKAGE, resolve_data
from webslm.config.compose import compose
from webslm.engine.cut import typed_key
from webslm.engine.explain import explain
from webslm.engine.forecast import forecast, parameter_count
from webslm.engine.ingredients import changes
from webslm.engine.look import Planned, Stores, Where
from webslm.engine.plan import Step, plan
from webslm.engine.store.artifacts import Cache
from webslm.engine.table import STAGES, StageSpec


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def steps_of(*words: str) -> list[Step]:
    return plan(compose(["recipe=medical_tiny", "until=merge", *words]))


def store(cache: Cache, steps: list[Step], seconds: float = 2.0) -> dict[str, str]:
    """Store an empty artifact for every step; return their keys as a lock holds them."""
    for step in steps:
        work = cache.work_dir(step.stage)
        (work / "files").mkdir()
        cache.commit(
            work,
            stage=step.stage,
            key=step.key,
            metrics={},
            seconds=seconds,
            peak_rss_bytes=3 << 20,
            ingredients=step.ingredients,
        )
    return {step.stage: step.key for step in steps}


def told(cache: Cache, steps: list[Step], stage: str, locked: dict[str, str]) -> str:
    return "\n".join(explain(looked(cache, steps), stage, cache, locked))


def looked(cache: Cache, steps: list[Step], force: tuple[str, ...] = ()) -> list[Planned]:
    return Stores(local=cache).look(steps, force)


def test_changed_value_is_named_with_both_values_and_what_is_typed(cache: Cache) -> None:
    locked = store(cache, steps_of())
    said = told(cache, steps_of("lora.r=4"), "finetune", locked)
    assert said.startswith("finetune will run\n")
    before = compose(["recipe=medical_tiny"]).lora.r
    assert f"config  lora.r: {before} -> 4" in said
    assert said.count("config") == 1
    assert "input" not in said


def test_cause_is_followed_through_the_inputs(cache: Cache) -> None:
    locked = store(cache, steps_of())
    said = told(cache, steps_of("lora.r=4"), "merge", locked)
    assert "input   finetune changed\n    config  lora.r" in said


def test_changed_file_is_named_and_its_input_only_once(cache: Cache, tmp_path: Path) -> None:
    locked = store(cache, steps_of())
    rows = resolve_data(compose(["recipe=medical_tiny"]).domain.train_path or "")
    mine = tmp_path / "mine.jsonl"
    mine.write_bytes(rows.read_bytes() + b"\n")
    said = told(cache, steps_of(f"data.path={mine}"), "merge", locked)
    assert said.count("file    data.path: its content changed") == 1
    assert "(as above)" in said


def test_changed_code_and_wheel_are_named(cache: Cache) -> None:
    steps = steps_of()
    step = next(step for step in steps if step.stage == "finetune")
    code = {**step.ingredients["code"], "training/trainer.py": "0" * 64}
    wheels = {**step.ingredients["wheels"], "torch": "1.0"}
    old = replace(step, key="0" * 64, ingredients={**step.ingredients, "code": code})
    old = replace(old, ingredients={**old.ingredients, "wheels": wheels})
    said = told(cache, steps, "finetune", store(cache, [old]))
    assert "code    webslm/training/trainer.py changed" in said
    assert f"wheel   torch: 1.0 -> {step.wheels['torch']}" in said


def test_nothing_changed_is_said_stored_or_gone(cache: Cache) -> None:
    steps = steps_of()
    locked = store(cache, steps)
    assert "merge is stored: it will not run" in told(cache, steps, "merge", locked)
    cache.drop("merge", locked["merge"])
    said = told(cache, steps, "merge", locked)
    assert "merge will run" in said
    assert "its artifact is no longer stored" in said


def test_without_a_build_the_nearest_artifact_is_compared(cache: Cache) -> None:
    assert "no such stage is recorded" in told(cache, steps_of(), "data", {})
    store(cache, steps_of("seed=3", "lora.r=2"))
    near = store(cache, steps_of("lora.r=4"))
    said = told(cache, steps_of(), "finetune", {})
    assert f"nearest stored {near['finetune'][:16]}" in said
    assert "config  lora.r: 4 ->" in said


def test_lost_record_is_said(cache: Cache) -> None:
    said = told(cache, steps_of(), "data", {"data": "0" * 64})
    assert "no longer recorded" in said


def test_forced_stage_says_so(cache: Cache) -> None:
    locked = store(cache, steps_of())
    planned = looked(cache, steps_of(), force=("merge",))
    assert "asked for" in next(explain(planned, "merge", cache, locked))


@pytest.mark.parametrize("spec", STAGES, ids=lambda spec: spec.name)
def test_every_value_of_a_stage_has_a_key_that_can_be_typed(spec: StageSpec) -> None:
    cfg = compose([])
    known = set(leaves(plain(cfg)))
    config = plain(spec.configure(cfg))
    # How much these look at is their own choice, not the user's.
    looked = {"rows", "tokens"}
    fixed = {"golden": {"num_prompts", "num_tokens"}, "calibrate": looked, "scale": looked}
    for name in set(leaves(config)) - fixed.get(spec.name, set()):
        assert typed_key(spec.conf, name) in known, name


def leaves(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every value in a nested dict; lists are values."""
    if not isinstance(value, Mapping):
        yield prefix.removesuffix(".")
        return
    for name, item in value.items():
        yield from leaves(item, f"{prefix}{name}.")


def test_record_and_key_are_of_the_same_files() -> None:
    roots = [PACKAGE / source for source in STAGES[0].sources]
    assert lines_digest(tree_lines(roots)) == tree_digest(roots)
    recorded = set(steps_of()[0].ingredients["code"])
    files = {PACKAGE / name for name in recorded}
    assert files == {p for root in roots for p in ([root] if root.is_file() else root.glob("*.py"))}
    assert changes("data", steps_of()[0].ingredients, steps_of()[0].ingredients) == []


def test_forecast_takes_time_and_memory_of_the_nearest_run(cache: Cache) -> None:
    store(cache, steps_of("seed=3", "lora.r=2"), seconds=99.0)
    store(cache, steps_of("lora.r=4"), seconds=7.0)
    seen = forecast(looked(cache, steps_of()), cache)
    assert (seen["data"].status, seen["data"].seconds) == ("hit", None)
    assert (seen["finetune"].status, seen["finetune"].seconds) == ("run", 7.0)
    assert seen["finetune"].peak_rss_bytes == 3 << 20


def test_forecast_names_downloads(cache: Cache) -> None:
    planned = looked(cache, plan(compose(["base=qwen2_5_0_5b"])))
    planned[0] = replace(planned[0], where=Where.REMOTE, size=42)
    seen = forecast(planned, cache)
    assert (seen["data"].status, seen["data"].download_bytes) == ("fetch", 42)
    assert "web-llm" in seen["bundle"].download
    # Qwen2.5-0.5B has 494 million parameters, as its model card says.
    assert seen["base"].download_bytes == pytest.approx(2 * 494e6, rel=0.01)
    assert parameter_count(compose(["base=qwen2_5_0_5b"]).base.shape) > 4e8
