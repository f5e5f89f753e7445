"""A sweep's mistakes are sentences before any job starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from webslm.cli.main import run
from webslm.config.compose import compose

MISTAKES = {
    "every job is checked": (
        ["lora.r=8,-1", "quant=q4f32_1,q4f33"],
        ["lora.r: -1 is not above 0", "quant: no option 'q4f33'"],
    ),
    "a word that cannot be read": (["lora.r=8,16", "x=["], ["unknown key 'x'"]),
    "an unknown key": (["lora.rr=8,16"], ["unknown key 'lora.rr'", "did you mean 'lora.r'?"]),
    "one value twice": (
        ["lora.r=8,8"],
        ["would both write to outputs/medical-smollm2_135m-q4f32_1-r8"],
    ),
    "one output for all": (["lora.r=8,16", "output_dir=x"], ["would both write to x"]),
    "an interval without a search": (["lora.r=interval(1,2)"], ["lora.r: names no value to try"]),
    "no glob match": (["domain=glob(zz*)"], ["domain: names no value to try"]),
    "a metric of no stage": (["lora.r=8,16", "sweep.metric=rouge"], ["sweep.metric: 'rouge'"]),
    "a metric behind the end": (
        ["lora.r=8,16", "sweep.metric=verify.rouge_l", "until=merge"],
        ["sweep.metric: 'verify.rouge_l'"],
    ),
    "a search without a metric": (
        ["hydra/sweeper=search", "lora.r=8,16"],
        ["sweep.metric: is not set"],
    ),
    "batches that processes cannot share": (
        ["base=tiny", "launch.processes=2,3"],
        ["3 processes cannot share batches of 16 x 1 evenly"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_told_before_work(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))
    words, sentences = MISTAKES[name]
    if "hydra/sweeper=search" in words:
        pytest.importorskip("optuna", reason="the extra 'sweep' is not installed")
    assert run(["-m", *words]) == 2
    err = capsys.readouterr().err
    for sentence in sentences:
        assert sentence in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_dry_run_shows_what_jobs_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))
    words = ["lora.r=8,16", "quant=q4f32_1,q0f32", "dry_run=true", "until=convert"]
    assert run(["-m", *words, "lora.quantization_aware=never"]) == 0
    lines = capsys.readouterr().out.splitlines()
    jobs = {line.split()[0]: line for line in lines if line.startswith("medical-")}
    assert set(jobs) == {
        f"medical-smollm2_135m-{q}-r{r}" for q in ("q4f32_1", "q0f32") for r in (8, 16)
    }
    assert "base" in jobs["medical-smollm2_135m-q4f32_1-r8"]
    assert jobs["medical-smollm2_135m-q0f32-r8"].split()[1:] == ["convert", "6"]
    # A fine-tune that learns through the rounding is one of its format.
    assert run(["-m", *words]) == 0
    assert "q0f32-r8     finetune, merge, normalize," in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_globs_and_recipes_bring_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["-m", "recipe=glob(*_tiny)", "dry_run=true", "until=data"]) == 0
    out = capsys.readouterr().out
    for domain in ("insurance", "legal", "math", "medical"):
        assert f"\n{domain}-tiny-q4f32_1 " in out
    assert run(["-m", "recipe=medical_tiny,legal_tiny", "seed=0,1", "dry_run=true"]) == 0
    assert "\nmedical-tiny-q4f32_1-seed1 " in capsys.readouterr().out
    # Nothing but the recipe keeps these two apart.
    words = ["recipe=medical_tiny,legal_tiny", "name=mine", "dry_run=true"]
    assert run(["-m", *words]) == 0
    assert "\nmine-recipe_legal_tiny " in capsys.readouterr().out


def test_launch_enters_only_the_key_of_the_finetune_and_what_follows() -> None:
    from webslm.engine.plan import plan

    one = {step.stage: step.key for step in plan(compose([]))}
    two = {step.stage: step.key for step in plan(compose(["launch=processes"]))}
    changed = {stage for stage in one if one[stage] != two[stage]}
    assert "finetune" in changed
    assert not changed & {"data", "base", "compile"}


def test_sweep_settings_enter_no_key() -> None:
    from webslm.engine.plan import plan

    one = [step.key for step in plan(compose([]))]
    words = ["sweep.name=x", "sweep.metric=finetune.last_loss"]
    assert [step.key for step in plan(compose(words))] == one
