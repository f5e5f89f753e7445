"""``webslm init`` and completion, as a user meets them: in an own process, in an own folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from webslm.basics.paths import group_dirs
from webslm.cli.project.init import write_project
from webslm.cli.verbs.completion import candidates
from webslm.cli.verbs.tree import VERBS

WEBSLM = (sys.executable, "-m", "webslm")


def webslm(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"WEBSLM_CACHE": str(cwd / "cache")}
    return subprocess.run(
        [*WEBSLM, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def test_project_builds_its_data_from_its_own_folder(tmp_path: Path) -> None:
    done = webslm("init", "my-assistant", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    project = tmp_path / "my-assistant"
    done = webslm("recipe=my-assistant", "until=data", cwd=project)
    assert done.returncode == 0, done.stderr
    assert (project / "outputs" / "my-assistant" / "webslm.lock.json").is_file()
    assert "my-assistant" in webslm("--help", cwd=project).stdout


def test_project_recipe_composes_in_multirun(tmp_path: Path) -> None:
    write_project(tmp_path / "mine")
    done = webslm("-m", "recipe=mine,medical_tiny", "dry_run=true", cwd=tmp_path / "mine")
    assert done.returncode == 0, done.stderr
    rows = [line.split()[0] for line in done.stdout.splitlines() if line[:1].strip()]
    assert rows == ["plan", "job", "mine", "medical-tiny-q4f32_1"]
    assert done.stdout.count("finetune") == 2


def test_recipes_below_conf_are_found_as_before(tmp_path: Path) -> None:
    write_project(tmp_path / "mine")
    (tmp_path / "mine" / "recipes").rename(tmp_path / "mine" / "conf" / "recipe")
    done = webslm("recipe=mine", "--cfg", "job", cwd=tmp_path / "mine")
    assert done.returncode == 0, done.stderr
    assert "name: mine\n" in done.stdout
    assert "mine" in webslm("completion", "words", "--", "recipe=mi", cwd=tmp_path / "mine").stdout


def test_options_beside_recipes_need_no_domain(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "conf" / "lora").mkdir(parents=True)
    (tmp_path / "conf" / "lora" / "mine.yaml").write_text("r: 3\n", encoding="utf-8")
    text = "# @package _global_\ndefaults:\n  - override /base: tiny\nlora: {alpha: 7}\n"
    (tmp_path / "recipes" / "own.yaml").write_text(text, encoding="utf-8")
    done = webslm("recipe=own", "lora=mine", "--cfg", "job", "--package", "lora", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "r: 3\nalpha: 7\n" in done.stdout


def test_a_recipe_that_is_none_names_those_of_both_folders(tmp_path: Path) -> None:
    write_project(tmp_path / "mine")
    done = webslm("recipe=minne", "dry_run=true", cwd=tmp_path / "mine")
    assert done.returncode == 2
    assert "did you mean recipe=mine?" in done.stderr
    assert "medical_tiny" in done.stderr


def test_a_recipe_frozen_into_a_project_is_found_there(tmp_path: Path) -> None:
    write_project(tmp_path / "mine")
    project = tmp_path / "mine"
    assert webslm("recipe=mine", "until=data", cwd=project).returncode == 0
    done = webslm("recipe", "freeze", "outputs/mine", "recipes/pinned.yaml", cwd=project)
    assert done.stdout.strip() == "build  python -m webslm recipe=pinned", done.stderr
    done = webslm("recipe=pinned", "until=data", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "hit data" in done.stdout


def test_project_holds_no_placeholder(tmp_path: Path) -> None:
    for path in write_project(tmp_path / "mine"):
        assert "%%" not in path.read_text(encoding="utf-8")
        assert "%%" not in path.name
        assert path.suffix != ".in"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init"], "name one folder"),
        (["init", "1st"], "cannot name a recipe"),
        (["init", "a b"], "cannot name a recipe"),
        (["init", "full"], "is there already"),
        (["init", "a", "b"], "name one folder"),
        (["completion", "csh"], "name a shell"),
    ],
)
def test_mistakes_write_nothing(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept", encoding="utf-8")
    done = webslm(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "hint:" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine.txt"]


def test_words_complete_one_step_at_a_time() -> None:
    groups = list(group_dirs())
    assert candidates("qu", groups, list(VERBS)) == [
        *("quant.bits=", "quant.dtype=", "quant.group_size=", "quant.name="),
        *("quant.scale_encoding=", "quant="),
    ]
    assert "quant=q4f32_1" in candidates("quant=q4", groups, list(VERBS))
    assert "serve" in candidates("s", groups, list(VERBS))
    assert candidates("until=me", groups, []) == ["until=merge"]
    assert candidates("nothing", groups, []) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_what_stands_after_the_equals_sign(tmp_path: Path) -> None:
    script = f"""
    webslm() {{ {sys.executable} -m webslm "$@"; }}
    eval "$(webslm completion bash)"
    COMP_LINE='webslm domain=me'; COMP_POINT=${{#COMP_LINE}}
    _webslm_complete; echo "${{COMPREPLY[*]}}"
    COMP_LINE='webslm dry'; COMP_POINT=${{#COMP_LINE}}
    _webslm_complete 2>/dev/null; echo "${{COMPREPLY[*]}}"
    """
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["medical", "dry_run="], done.stderr
