"""A machine that lacks something may use what is stored, here or with others, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from webslm.basics.errors import EnvironmentMismatch, WebslmError
from webslm.basics.screen import Screen
from webslm.basics.stage import Status
from webslm.cli.build import build, look, open_stores
from webslm.config.checks.machine import check_machine
from webslm.config.compose import compose
from webslm.engine.look import Planned, Where
from webslm.engine.plan import plan
from webslm.engine.store.artifacts import Cache
from webslm.engine.store.remote import Remote
from webslm.schema import Config

LACKING = {
    "a token": ("base=gemma_3_1b", "base.source=hub", "until=base"),
    "a GPU": ("recipe=medical_tiny", "lora.device=cuda", "until=merge"),
    "a browser": ("recipe=medical_tiny", "verify.browser=no-such-browser"),
    "a compiler": ("recipe=medical_tiny", "compiler=mlc_llm", "compiler.python=no-such-python"),
    "a wheel": ("recipe=medical_tiny", "runtime.wheels.torch='0.1'", "until=merge"),
}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def config(tmp_path: Path, *words: str) -> Config:
    places = [f"cache.remote={tmp_path / 'shared'}", f"output_dir={tmp_path / 'out'}"]
    return compose([*words, *places])


def share(cfg: Config, tmp_path: Path) -> None:
    """Let another machine have built everything; its artifacts are empty."""
    other, shared = Cache(tmp_path / "other"), Remote(str(tmp_path / "shared"))
    for step in plan(cfg):
        work = other.work_dir(step.stage)
        (work / "files").mkdir()
        artifact = other.commit(
            work, stage=step.stage, key=step.key, metrics={}, seconds=1.0, peak_rss_bytes=1
        )
        assert shared.push(artifact)


def todo(planned: list[Planned]) -> list[str]:
    return [each.step.stage for each in planned if each.runs]


@pytest.mark.parametrize("lacking", LACKING)
def test_machine_that_lacks_something_uses_the_shared_store(lacking: str, tmp_path: Path) -> None:
    cfg = config(tmp_path, *LACKING[lacking])
    planned = look(cfg, open_stores(cfg))
    with pytest.raises(WebslmError):
        check_machine(cfg, [each.step for each in planned if each.runs])
    share(cfg, tmp_path)
    planned = look(cfg, open_stores(cfg))
    assert {each.where for each in planned} == {Where.REMOTE}
    assert todo(planned) == []
    check_machine(cfg, [each.step for each in planned if each.runs])


def test_build_of_what_others_have_asks_this_machine_for_nothing(tmp_path: Path) -> None:
    cfg = config(tmp_path, *LACKING["a GPU"])
    share(cfg, tmp_path)
    results = build(cfg, ["webslm"], Screen(quiet=True))
    assert {result.status for result in results} == {Status.HIT}
    assert todo(look(cfg, open_stores(cfg))) == []


def test_one_stage_may_be_built_on_what_others_have(tmp_path: Path) -> None:
    share(config(tmp_path, "recipe=medical_tiny", "until=finetune"), tmp_path)
    cfg = config(tmp_path, "recipe=medical_tiny", "only=merge")
    assert todo(look(cfg, open_stores(cfg))) == ["merge"]


def test_forced_stage_runs_although_others_have_it(tmp_path: Path) -> None:
    cfg = config(tmp_path, *LACKING["a GPU"], "force=[finetune]")
    share(cfg, tmp_path)
    assert todo(look(cfg, open_stores(cfg))) == ["finetune"]
    with pytest.raises(EnvironmentMismatch):
        build(cfg, ["webslm"], Screen(quiet=True))
