"""A lock that an earlier webslm wrote is checked and compared as one of today.

``lock_schema_2.json`` is of 4961e05, when modules lay elsewhere and stages were configured by hand;
its artifacts hold one text each.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.locks import schema_errors
from webslm.basics.errors import CacheCorrupt
from webslm.basics.stage import Result, Status
from webslm.config.compose import compose, restore
from webslm.engine.lock.difference import compare
from webslm.engine.lock.file import LOCK_NAME, check_lock, make_lock, read_lock
from webslm.engine.plan import plan
from webslm.engine.store.artifacts import Cache
from webslm.engine.table import STAGE_NAMES

OLD = Path(__file__).parents[2] / "resources" / "lock_schema_2.json"


def lock_of_today(store: Path, *words: str) -> dict[str, Any]:
    cfg = compose(["recipe=medical_tiny", "output_dir=outputs/medical-tiny", *words])
    cache, results = Cache(store), []
    for step in plan(cfg):
        work = cache.work_dir(step.stage)
        (work / "files").mkdir()
        (work / "files" / "index.html").write_text(step.stage)
        made = cache.commit(
            work, stage=step.stage, key=step.key, metrics={}, seconds=1.0, peak_rss_bytes=1
        )
        results.append(
            Result(
                stage=step.stage,
                key=step.key,
                status=Status.RAN,
                seconds=1.0,
                peak_rss_bytes=1,
                path=made.path,
            )
        )
    return make_lock(cfg, ["python", "-m", "webslm"], plan(cfg), results)


def test_old_lock_is_read_and_its_output_checked(tmp_path: Path) -> None:
    shutil.copyfile(OLD, tmp_path / LOCK_NAME)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "index.html").write_text("bundle")
    assert schema_errors(read_lock(tmp_path)) == []
    assert check_lock(tmp_path) == 1
    (tmp_path / "bundle" / "index.html").write_text("bundlE")
    with pytest.raises(CacheCorrupt, match="has other bytes than were built"):
        check_lock(tmp_path)
    assert restore(read_lock(tmp_path)["config"]).base.name == "tiny"


def test_lock_of_today_has_the_fields_and_what_is_configured_of_the_old_one(tmp_path: Path) -> None:
    old, new = read_lock(OLD), lock_of_today(tmp_path)
    assert schema_errors(new) == []
    assert list(new["stages"]) == [stage for stage in STAGE_NAMES if stage in old["stages"]]
    for stage, entry in old["stages"].items():
        same = {name: entry[name] for name in ("config", "inputs", "wheels", "pinned", "files")}
        assert same == {name: new["stages"][stage][name] for name in same}, stage
        assert set(entry) == set(new["stages"][stage])


def test_only_code_separates_a_build_of_then_from_one_of_today(tmp_path: Path) -> None:
    difference = compare(read_lock(OLD), lock_of_today(tmp_path))
    assert difference.stage == "data"
    assert len(difference.causes) == 1
    assert difference.causes[0].startswith("webslm's own code: ")
    assert "finetune" in difference.followers


def test_changed_value_is_named_as_it_is_typed() -> None:
    old = read_lock(OLD)
    other = copy.deepcopy(old)
    stage = other["stages"]["chat_config"]
    stage["key"] = "other"
    stage["config"]["quant_name"] = "q0f32"
    stage["config"]["context_window_size"] = 128
    difference = compare(old, other)
    assert difference.stage == "chat_config"
    assert difference.causes == [
        "configuration: compiler.context_window_size is 512 in the first, 128 in the second",
        "configuration: quant.name is q4f32_1 in the first, q0f32 in the second",
    ]


def test_stage_that_this_webslm_has_not_keeps_its_own_names() -> None:
    old = read_lock(OLD)
    old["stages"]["gone"] = {**old["stages"]["base"], "config": {"seed_of_gone": 1}}
    other = copy.deepcopy(old)
    other["stages"]["gone"] |= {"key": "other", "config": {"seed_of_gone": None}}
    assert compare(old, other).causes == [
        "configuration: seed_of_gone is 1 in the first, null in the second"
    ]
