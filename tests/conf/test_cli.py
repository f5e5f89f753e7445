from __future__ import annotations

from pathlib import Path

import pytest

from webslm.basics.paths import conf_dir
from webslm.cli.main import run
from webslm.engine.table import STAGE_NAMES


def test_help_lists_groups_options_and_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for part in ("code, insurance, legal, math, medical", "q4f32_1", "serve FOLDER", *STAGE_NAMES):
        assert part in out


def test_cfg_job_shows_the_whole_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["--cfg", "job", "domain=legal"]) == 0
    out = capsys.readouterr().out
    assert "Legal information assistant" in out
    assert list(tmp_path.iterdir()) == []


def test_dry_run_prints_the_plan_and_touches_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))
    assert run(["base=tiny", "dry_run=true", "until=convert"]) == 0
    out = capsys.readouterr().out
    assert "convert" in out
    assert "bundle" not in out
    assert "graphics memory: weights 1.8 MB, working space" in out
    assert "largest buffer: the activations of a prompt's chunk" in out
    assert list(tmp_path.iterdir()) == []


def test_own_options_are_found_in_a_config_dir(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "my" / "domain" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    shipped = (conf_dir() / "domain" / "medical.yaml").read_text(encoding="utf-8")
    mine.write_text(shipped.replace("name: medical", "name: mine"), encoding="utf-8")
    assert run(["--config-dir", "my", "domain=mine", "dry_run=true"]) == 0
    assert run(["-cd=my", "domain=mine", "--cfg", "job"]) == 0
    assert "name: mine" in capsys.readouterr().out
    assert run(["-cd", "my", "domain=min"]) == 2
    assert "did you mean domain=mine?" in capsys.readouterr().err
    assert run(["-cd", "nowhere", "domain=mine"]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_explain_names_the_key_that_changed_and_touches_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))
    words = ["recipe=medical_tiny", "until=data", "output_dir=out"]
    assert run(words) == 0
    before = sorted(tmp_path.rglob("*"))
    assert run([*words, "seed=3", "explain=data"]) == 0
    assert "config  data.seed: 0 -> 3" in capsys.readouterr().out
    assert run([*words, "explain=data"]) == 0
    assert "data is stored: it will not run" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before
    assert run([*words, "explain=verify"]) == 2
    assert "explain: this build has no stage 'verify'" in capsys.readouterr().err
