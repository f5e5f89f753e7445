"""Sweeps end to end: real stages, Hydra's real launchers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import slurm_stand_in
from tests.integration.conftest import SMALL, run_process

FORMATS = ("q4f32_1", "q0f32", "q4f16_1", "q0f16")


def need_extra() -> None:
    for name in ("joblib", "submitit", "optuna"):
        pytest.importorskip(name, reason="the extra 'sweep' is not installed")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the module: the small base is trained once."""
    return tmp_path_factory.mktemp("store")


def sweep_report(cwd: Path, name: str = "s") -> dict[str, Any]:
    path = cwd / "outputs" / "sweeps" / name / "report.json"
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def ran(report: dict[str, Any]) -> list[str]:
    return [s["stage"] for job in report["jobs"] for s in job["stages"] if s["status"] == "ran"]


def test_formats_share_one_finetune_and_a_second_run_does_nothing(
    tmp_path: Path, store: Path
) -> None:
    words = ("-m", *SMALL, f"quant={','.join(FORMATS)}", "until=convert", "sweep.name=s", "seed=7")
    done = run_process(*words, cwd=tmp_path, cache=store)
    assert done.returncode == 0, done.stderr
    report = sweep_report(tmp_path)
    stages = ran(report)
    for shared in ("data", "base", "inspect", "finetune", "merge", "normalize"):
        assert stages.count(shared) == 1
    assert stages.count("convert") == len(FORMATS)
    assert (report["executed"], report["steps"]) == (10, 28)
    assert {job["name"] for job in report["jobs"]} == {f"medical-tiny-{q}" for q in FORMATS}
    assert {pick["by"]: pick["name"] for pick in report["picks"]}["worst tensor error"] == (
        "medical-tiny-q0f32"
    )
    page = (tmp_path / "outputs" / "sweeps" / "s" / "report.html").read_text(encoding="utf-8")
    assert "weights" in page
    assert "<svg" in page
    again = run_process(*words, cwd=tmp_path, cache=store)
    assert again.returncode == 0
    assert sweep_report(tmp_path)["executed"] == 0


@pytest.mark.slow
def test_joblib_runs_all_shows_every_failure_and_ends_with_the_first_code(
    tmp_path: Path, store: Path
) -> None:
    need_extra()
    # No check before work can know that a loss will overflow.
    rates = "lora.learning_rate=0.001,1e30,0.002,2e30"
    words = ("-m", "hydra/launcher=machine", *SMALL, rates, "until=merge", "sweep.name=s")
    done = run_process(*words, cwd=tmp_path, cache=store)
    assert done.returncode == 4
    assert "jobs at once" in done.stdout
    report = sweep_report(tmp_path)
    assert [job["exit_code"] for job in report["jobs"]] == [0, 4, 0, 4]
    assert ran(report).count("base") <= 1
    assert ran(report).count("finetune") == 2
    for job in report["jobs"][1::2]:
        assert f"{job['name']}: finetune: the loss is nan at step" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    # What a job printed does not mix with the others'.
    outputs = sorted((tmp_path / "outputs" / "sweeps" / "s").glob("*/output.txt"))
    assert len(outputs) == 4


@pytest.mark.slow
def test_two_builds_of_one_key_at_once_work_once(tmp_path: Path, store: Path) -> None:
    env = {**os.environ, "WEBSLM_CACHE": str(store)}
    words = [sys.executable, "-m", "webslm", *SMALL, "seed=11", "until=finetune"]
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    started = [
        subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.DEVNULL)
        for folder in folders
    ]
    assert [each.wait() for each in started] == [0, 0]
    counts: dict[str, int] = {}
    for folder in folders:
        report = json.loads((folder / "outputs/medical-tiny-q4f32_1/report.json").read_text())
        for step in report["steps"]:
            counts[step["stage"]] = counts.get(step["stage"], 0) + (step["status"] == "ran")
    assert counts["base"] == counts["finetune"] == 1


@pytest.mark.slow
def test_killed_sweep_goes_on_where_it_was(tmp_path: Path, store: Path) -> None:
    env = {**os.environ, "WEBSLM_CACHE": str(store)}
    swept = ("-m", *SMALL, "lora.r=2,4,6", "until=merge", "sweep.name=s", "seed=7")
    with subprocess.Popen(
        [sys.executable, "-m", "webslm", *swept], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL
    ) as first:
        record = tmp_path / "outputs" / "sweeps" / "s" / "0" / "job.json"
        for _ in range(1200):
            if record.exists() or first.poll() is not None:
                break
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
    assert record.exists()
    done = run_process(*swept, cwd=tmp_path, cache=store)
    assert done.returncode == 0, done.stderr
    report = sweep_report(tmp_path)
    jobs = {job["name"]: job["stages"] for job in report["jobs"]}
    assert list(jobs) == [f"medical-tiny-q4f32_1-r{r}" for r in (2, 4, 6)]
    assert all(step["status"] == "hit" for step in jobs["medical-tiny-q4f32_1-r2"])
    assert report["ok"]


@pytest.mark.slow
def test_submitit_on_this_machine(tmp_path: Path, store: Path) -> None:
    need_extra()
    words = ("-m", "hydra/launcher=slurm_local", *SMALL, "lora.r=3,5", "until=merge")
    done = run_process(*words, "sweep.name=s", cwd=tmp_path, cache=store)
    assert done.returncode == 0, done.stderr
    report = sweep_report(tmp_path)
    assert ran(report).count("finetune") == 2
    assert report["ok"]


def test_slurm_jobs_meet_in_the_store(tmp_path: Path) -> None:
    need_extra()
    slurm_stand_in.install(tmp_path / "bin")
    env = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "WEBSLM_CACHE": str(tmp_path / "store"),
    }
    words = (
        "hydra/launcher=slurm",
        "hydra.launcher.partition=night",
        "domain=medical,legal",
        "base=tiny",
    )
    done = subprocess.run(
        [sys.executable, "-m", "webslm", "-m", *words, "until=data", "sweep.name=s"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = sweep_report(tmp_path)
    assert [job["name"] for job in report["jobs"]] == ["medical-tiny-q4f32_1", "legal-tiny-q4f32_1"]
    assert ran(report) == ["data", "data"]
    assert len(list((tmp_path / "store" / "artifacts" / "data").iterdir())) == 2
    asked = tmp_path / "outputs/sweeps/s/.submitit/4711/4711_submission.sh"
    flags = re.findall(r"^#SBATCH --(\S+)", asked.read_text(), re.MULTILINE)
    for flag in ("job-name=webslm", "partition=night", "cpus-per-task=2", "mem=8GB", "time=240"):
        assert flag in flags
    assert "array=0-1%2" in flags


@pytest.mark.slow
def test_optuna_searches_a_metric_and_repeats_itself(tmp_path: Path, store: Path) -> None:
    need_extra()
    words = (
        *("-m", "hydra/sweeper=search", "hydra.sweeper.n_trials=3"),
        *("hydra.sweeper.direction=minimize", "sweep.metric=finetune.last_loss", "sweep.name=s"),
        *(*SMALL, "lora.r=4,8", "lora.learning_rate=interval(0.001,0.02)", "until=finetune"),
    )
    done = run_process(*words, cwd=tmp_path, cache=store)
    assert done.returncode == 0, done.stderr
    jobs = sweep_report(tmp_path)["jobs"]
    assert len({job["name"] for job in jobs}) == 3
    best = min(job["measures"]["finetune.last_loss"] for job in jobs)
    found = (tmp_path / "outputs/sweeps/s/optimization_results.yaml").read_text()
    assert f"best_value: {best}" in found
    again = run_process(*words, cwd=tmp_path, cache=store)
    assert again.returncode == 0, again.stderr
    assert sweep_report(tmp_path)["executed"] == 0
