from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from webslm.engine.lock.difference import compare, delivered_bytes, first_byte
from webslm.engine.table import STAGE_NAMES


def make_lock() -> dict[str, Any]:
    """Return a lock of two stages in the shape of schema 2."""

    def stage(key: str, needs: dict[str, str]) -> dict[str, Any]:
        return {
            "key": key,
            "config": {"lora": {"r": 8, "target_modules": ["q_proj"]}},
            "inputs": {"data.path.0": "1" * 64},
            "needs": needs,
            "sources": "a" * 64,
            "wheels": {"torch": "2.13.0"},
            "pinned": None,
            "files": {"model.bin": {"sha256": "b" * 64, "size": 8}},
        }

    stages = {"base": stage("k1", {}), "finetune": stage("k2", {"base": "k1"})}
    stages["verify"] = {**stage("k3", {"base": "k1"}), "pinned": "measured"}
    return {
        "matrix": {"vector_unit": "avx2", "row": "one", "python": "3.11.7"},
        "sources": {"training/trainer.py": "c" * 64, "stages/data.py": "d" * 64},
        "stages": stages,
        "outputs": {"bundle/index.html": {"sha256": "e" * 64, "size": 4}},
    }


def test_equal_locks_do_not_differ() -> None:
    found = compare(make_lock(), make_lock())
    assert found.stage is None
    assert found.causes == found.machine == []


def changed(stage: str, **parts: Any) -> dict[str, Any]:
    lock = make_lock()
    lock["stages"][stage] |= {"key": "other", **parts}
    return lock


@pytest.mark.parametrize(
    ("parts", "cause"),
    [
        (
            {"config": {"lora": {"r": 16, "target_modules": ["q_proj"]}}},
            "configuration: lora.r is 8 in the first, 16 in the second",
        ),
        (
            {"config": {"lora": {"target_modules": ["q_proj"]}}},
            "configuration: lora.r is 8 in the first, absent in the second",
        ),
        (
            {"inputs": {"data.path.0": "2" * 64}},
            "file: data.path.0 has other bytes (sha256 1111111111111, 2222222222222)",
        ),
        ({"wheels": {"torch": "2.14.0"}}, "wheel: torch 2.13.0 in the first, 2.14.0 in the second"),
        ({}, "its key differs, and what went into it was not recorded (an older lock)"),
    ],
)
def test_first_stage_and_cause_are_named(parts: dict[str, Any], cause: str) -> None:
    found = compare(make_lock(), changed("finetune", **parts))
    assert found.stage == "finetune"
    assert found.causes == [cause]


def test_changed_module_is_named_where_it_belongs() -> None:
    lock = changed("finetune", sources="f" * 64)
    lock["sources"] = {"training/trainer.py": "0" * 64, "stages/data.py": "0" * 64}
    assert compare(make_lock(), lock).causes == ["webslm's own code: training/trainer.py"]


def test_followers_are_listed_behind_the_first_in_build_order() -> None:
    lock = changed("base", wheels={"torch": "3"})
    for stage in ("finetune", "verify"):
        lock["stages"][stage] |= {"key": f"other {stage}", "needs": {"base": "other"}}
    found = compare(make_lock(), lock)
    assert (found.stage, found.followers) == ("base", ["finetune", "verify"])
    assert STAGE_NAMES.index("base") < STAGE_NAMES.index("finetune")


def test_other_bytes_under_one_key_are_named_but_not_for_a_pinned_stage() -> None:
    lock = copy.deepcopy(make_lock())
    lock["matrix"]["vector_unit"] = "avx512f"
    lock["stages"]["verify"]["files"]["model.bin"]["sha256"] = "0" * 64
    assert compare(make_lock(), lock).stage is None
    lock["stages"]["finetune"]["files"]["model.bin"]["sha256"] = "0" * 64
    found = compare(make_lock(), lock)
    assert found.stage == "finetune"
    assert "same key, yet model.bin has other bytes" in found.causes[0]
    assert found.machine == ["vector_unit: avx2 and avx512f"]


def test_stage_that_one_build_lacks_is_said() -> None:
    lock = make_lock()
    del lock["stages"]["verify"]
    assert compare(make_lock(), lock).causes == ["only the first build has it"]


@pytest.mark.parametrize(
    ("left", "right", "offset"),
    [(b"abc", b"abc", None), (b"abc", b"abd", 2), (b"ab", b"abc", 2), (b"", b"", None)],
)
def test_first_byte(tmp_path: Path, left: bytes, right: bytes, offset: int | None) -> None:
    (tmp_path / "l").write_bytes(b"x" * (1 << 20) + left)
    (tmp_path / "r").write_bytes(b"x" * (1 << 20) + right)
    expected = None if offset is None else (1 << 20) + offset
    assert first_byte(tmp_path / "l", tmp_path / "r") == expected


def test_delivered_files_are_compared_by_byte(tmp_path: Path) -> None:
    for side, text in (("one", "html"), ("two", "htmL")):
        (tmp_path / side / "bundle").mkdir(parents=True)
        (tmp_path / side / "bundle" / "index.html").write_text(text)
    lock = make_lock()
    found = list(delivered_bytes(lock, tmp_path / "one", lock, tmp_path / "two"))
    assert found == ["bundle/index.html: byte 3 is the first that differs"]
