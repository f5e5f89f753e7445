"""``doctor``: what this machine has, and for each miss the words to type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from webslm.config.compose import compose
from webslm.engine.machine.memory import parameters
from webslm.proof.graphics.driver import find_driver


def run_doctor(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "webslm", "doctor", *words],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "300", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.browser
def test_machine_that_builds_is_found_well(tmp_path: Path) -> None:
    done = run_doctor(cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("python", "row", "wheels", "browser", "webgpu", "cache", "memory", "hub"):
        assert f"ok      {part}" in done.stdout
    told = "lavapipe (Mesa" if find_driver() else "SwiftShader: no float16"
    assert told in done.stdout
    assert "missing" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_every_miss_comes_with_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = run_doctor(
        "runtime.wheels.peft=0.0.1",
        "runtime.web_llm=0.2.83",
        cwd=tmp_path,
        PATH=str(tmp_path / "bin"),
        WEBSLM_BROWSER="/no/browser",
        WEBSLM_CACHE=str(tmp_path / "cache"),
        NPM_CONFIG_REGISTRY="http://127.0.0.1:9",
    )
    assert done.returncode == 3
    for told in (
        "type: the nearest row that works: runtime=web_llm_0_2_84",
        "peft 0.21.2, not 0.0.1",
        "-m pip install 'peft==0.0.1'",
        "npm         @mlc-ai/web-llm@0.2.83 cannot be fetched: ",
        "mlc-ai-web-llm-0.2.83.tgz into",
        "WEBSLM_BROWSER: no browser at '/no/browser'",
        "apt-get install chromium",
    ):
        assert told in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.browser
def test_format_that_the_adapter_lacks_is_missing(tmp_path: Path) -> None:
    done = run_doctor("quant=q4f16_1", "verify.graphics=swiftshader", cwd=tmp_path)
    assert done.returncode == 3
    assert "lacks shader-f16 for quant=q4f16_1" in done.stdout
    assert "quant=q4f32_1 runs on every adapter" in done.stdout


def test_hub_is_asked_only_for_a_hub_base_and_offline_is_said() -> None:
    script = "from webslm.hub.token import token_rights\nprint(*token_rights(), sep=': ')\n"

    def ask(**variables: str) -> str:
        env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": "/nowhere"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**env, **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert ask(HF_TOKEN="").startswith("note: no token")
    told = ask(HF_TOKEN="hf_secret")
    assert told.startswith("note: a token is set; its rights were not checked")
    assert "hf_secret" not in told


def test_shape_tells_how_many_parameters() -> None:
    assert 2.5e6 < parameters(compose(["base=tiny"])) < 3.5e6
    assert 4e8 < parameters(compose(["base=qwen2_5_0_5b"])) < 6e8
