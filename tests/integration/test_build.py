"""The main job: one command to a proven site, then nothing to do; locks that notice damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import read_report, run_build
from webslm.engine.table import STAGE_NAMES

pytestmark = pytest.mark.browser
# These are for pairs, quant=auto, scale=awq, pages that compare and precision=both.
OPTIONAL = ("align", "calibrate", "scale", "convert_base", "compile_f16")
DEFAULT_STAGES = tuple(name for name in STAGE_NAMES if name not in OPTIONAL)


def test_report_is_whole_and_good(medical: Path) -> None:
    report = read_report(medical)
    assert report["ok"] is True
    assert [step["stage"] for step in report["steps"]] == list(DEFAULT_STAGES)
    for step in report["steps"]:
        assert step["status"] in ("ran", "hit")
        assert step["seconds"] >= 0
        assert step["peak_rss_bytes"] > 0


def test_browser_said_what_torch_said(medical: Path) -> None:
    verify = read_report(medical)["verify"]
    assert verify["loaded"] is True
    assert verify["console_errors"] == []
    assert verify["foreign_requests"] == []
    assert verify["greedy_agreement"]["dequantized"] == 1
    assert verify["forced_top1_agreement"]["dequantized"] >= 0.99
    assert 0 < verify["forced_top1_agreement"]["merged"] <= 1
    assert verify["load_s"] > 0
    assert verify["first_piece_s"] > 0
    assert verify["decode_tok_s"] > 0


def test_tuned_model_answers_what_it_was_taught_and_the_base_does_not(medical: Path) -> None:
    verify = read_report(medical)["verify"]
    first = [item for item in verify["answers"] if not item["follow_up"]]
    good = [item for item in first if item["rouge_l"] >= 0.8 and item["stopped"]]
    assert (len(first), len(verify["answers"])) == (5, 6)
    assert len(good) >= 4
    assert all(item["rouge_l"] < 0.4 for item in verify["base_answers"])


def test_second_run_executes_no_stage_and_needs_no_browser(medical: Path) -> None:
    root = medical.parent.parent
    words = ("domain=medical", "base=tiny", "quant=q4f32_1", "verify.browser=nothing")
    done = run_build(*words, cwd=root)
    assert done.returncode == 0, done.stderr
    assert {step["status"] for step in read_report(medical)["steps"]} == {"hit"}


def test_lock_names_versions_inputs_and_outputs(medical: Path) -> None:
    lock = json.loads((medical / "webslm.lock.json").read_text(encoding="utf-8"))
    assert lock["matrix"]["wheels"]["apache-tvm"] == "0.27.0.post1"
    assert lock["matrix"]["web_llm"] == "0.2.85"
    assert "Chrom" in lock["matrix"]["browser"]
    assert set(lock["stages"]) == set(DEFAULT_STAGES)
    assert lock["base"]["files"]["model.safetensors"]["size"] > 1_000_000
    assert lock["data"]["data.path.0"]
    assert any(name.endswith(".wasm") for name in lock["outputs"])


def test_lock_check_passes_and_names_what_was_touched(medical: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(medical, copy)
    done = run_build("lock", "check", str(copy), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for pattern in ("bundle/lib/*.wasm", "bundle/models/*/resolve/*/params_shard_0.bin"):
        path = next(copy.glob(pattern))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        done = run_build("lock", "check", str(copy), cwd=tmp_path)
        assert done.returncode == 6
        assert path.relative_to(copy).as_posix() in done.stderr
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def test_touched_output_is_restored_by_the_next_run(medical: Path) -> None:
    page = medical / "bundle" / "index.html"
    original = page.read_bytes()
    page.write_bytes(original + b" ")
    done = run_build("domain=medical", "base=tiny", "quant=q4f32_1", cwd=medical.parent.parent)
    assert done.returncode == 0, done.stderr
    assert page.read_bytes() == original


def test_shorter_build_leaves_the_site_and_its_lock_alone(medical: Path) -> None:
    lock = (medical / "webslm.lock.json").read_bytes()
    for word in ("until=data", "only=convert"):
        done = run_build(
            "domain=medical", "base=tiny", "quant=q4f32_1", word, cwd=medical.parent.parent
        )
        assert done.returncode == 0, done.stderr
    assert (medical / "webslm.lock.json").read_bytes() == lock
    done = run_build("lock", "check", str(medical), cwd=medical)
    assert done.returncode == 0, done.stderr
    # Other files of tests find the build's artifacts by its report.
    done = run_build("domain=medical", "base=tiny", "quant=q4f32_1", cwd=medical.parent.parent)
    assert done.returncode == 0, done.stderr
