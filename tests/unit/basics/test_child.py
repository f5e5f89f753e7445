"""What a process and one that it started tell each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from webslm.basics import child, errors
from webslm.basics.errors import StageFailed, WebslmError
from webslm.basics.keys import plain, restored
from webslm.config.compose import compose
from webslm.schema import LaunchConf, LoraConf, Sharding

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WebslmError)
]


def test_job_brings_configurations_whole(tmp_path: Path) -> None:
    cfg = compose(["launch=processes", "lora=thorough", "lora.augment.copies=2"])
    cfg.launch.sharding = Sharding.fsdp
    job = child.read_job(child.write_job(tmp_path, {"lora": cfg.lora, "launch": cfg.launch}))
    assert restored(LoraConf, job["lora"]) == cfg.lora
    assert restored(LaunchConf, job["launch"]) == cfg.launch


def test_result_is_plain(tmp_path: Path) -> None:
    file = tmp_path / child.ANSWER
    assert child.answer(file, lambda: {"sharding": Sharding.fsdp, "steps": (1, 2)}) == 0
    assert child.result(file) == {"sharding": "fsdp", "steps": [1, 2]}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_error_of_any_kind_is_the_same_error_here(kind: type[WebslmError], tmp_path: Path) -> None:
    def fail() -> None:
        raise kind("what", hint="do")

    file = tmp_path / child.ANSWER
    assert child.answer(file, fail) == kind.exit_code
    with pytest.raises(WebslmError) as caught:
        child.result(file, tmp_path / "log")
    error = caught.value
    assert (type(error), error.message, error.hint) == (kind, "what", "do")
    assert error.log_path == tmp_path / "log"


def test_error_of_an_unknown_kind_failed_the_stage(tmp_path: Path) -> None:
    file = tmp_path / child.ANSWER
    for kind in ("Path", "NoSuchError", "annotations"):
        file.write_text(f'{{"error": {{"kind": "{kind}", "message": "m", "hint": null}}}}')
        with pytest.raises(StageFailed, match=r"^m$"):
            child.result(file)


def test_bug_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        child.answer(tmp_path / child.ANSWER, lambda: 1 // 0)
    with pytest.raises(FileNotFoundError):
        child.result(tmp_path / child.ANSWER)


def test_restored_fills_defaults_and_refuses_what_is_no_field() -> None:
    assert restored(LoraConf, {}) == LoraConf()
    assert plain(restored(LoraConf, plain(LoraConf()))) == plain(LoraConf())
    with pytest.raises(TypeError, match="unknown"):
        restored(LoraConf, {"unknown": 1})
