"""Locks of a real small build: compared, reproduced elsewhere, upgraded, and damaged on purpose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import SMALL, read_report, run_build
from tests.locks import schema_errors
from webslm.basics.paths import PACKAGE, cache_dir, conf_dir, recipes_dir
from webslm.engine.lock.file import LOCK_NAME

BUILD = (*SMALL, "until=bundle", "name=small")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a small build in the machine's own store."""
    root = tmp_path_factory.mktemp("small")
    done = run_build(*BUILD, cwd=root)
    assert done.returncode == 0, done.stderr + done.stdout
    return root / "outputs" / "small"


def damaged(small: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a folder with the build's lock, changed."""
    lock = json.loads((small / LOCK_NAME).read_text(encoding="utf-8"))
    change(lock)
    (tmp_path / LOCK_NAME).write_text(json.dumps(lock), encoding="utf-8")
    return tmp_path


def test_lock_keeps_to_the_published_schema(small: Path) -> None:
    lock = json.loads((small / LOCK_NAME).read_text(encoding="utf-8"))
    assert schema_errors(lock) == []
    assert {stage: entry["pinned"] for stage, entry in lock["stages"].items()} == dict.fromkeys(
        lock["stages"]
    )


def elsewhere(small: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb from a copy of the sources, as another user with another home and locale."""
    home = root / "ein anderes Zuhause"
    for name, source in (("webslm", PACKAGE), ("conf", conf_dir()), ("recipes", recipes_dir())):
        shutil.copytree(source, home / "src" / name, ignore=shutil.ignore_patterns("__pycache__"))
    env = {
        **{name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
        "HOME": str(home),
        "USER": "somebody",
        "LOGNAME": "somebody",
        "TMPDIR": str(home),
        "LC_ALL": "C",
        "LANG": "C",
        "TZ": "Asia/Tokyo",
        "COLUMNS": "200",
        "WEBSLM_CACHE": str(cache_dir()),
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": str(home / "src"),
    }
    copy = root / "kopie"
    shutil.copytree(small, copy)
    return subprocess.run(
        [sys.executable, "-m", "webslm", *words, str(copy)],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_build_is_reproduced_byte_for_byte_elsewhere(small: Path, tmp_path: Path) -> None:
    done = elsewhere(small, tmp_path, "lock", "reproduce")
    assert done.returncode == 0, done.stderr
    stages = json.loads((small / LOCK_NAME).read_text(encoding="utf-8"))["stages"]
    for stage, entry in stages.items():
        assert f"{stage}: {len(entry['files'])} files, byte for byte" in done.stdout
    assert "hit" not in done.stdout


@pytest.mark.slow
def test_build_is_reproduced_a_second_time_with_new_tools(small: Path, tmp_path: Path) -> None:
    done = elsewhere(small, tmp_path, "lock", "reproduce", "--own-tools")
    assert done.returncode == 0, done.stderr
    assert "bundle: " in done.stdout


def test_reproduce_names_the_first_stage_and_file_that_differ(small: Path, tmp_path: Path) -> None:
    def change(lock: dict[str, Any]) -> None:
        lock["stages"]["data"]["files"]["train.jsonl"]["sha256"] = "0" * 64
        lock["stages"]["merge"]["files"] = {}

    folder = damaged(small, tmp_path, change)
    done = run_build("lock", "reproduce", str(folder), cwd=tmp_path)
    assert done.returncode == 6
    assert "data is the first stage that differs: train.jsonl has other bytes" in done.stderr


def test_reproduce_refuses_another_dataset_before_work(small: Path, tmp_path: Path) -> None:
    def change(lock: dict[str, Any]) -> None:
        lock["stages"]["data"]["inputs"]["data.path.0"] = "0" * 64

    folder = damaged(small, tmp_path, change)
    done = run_build("lock", "reproduce", str(folder), cwd=tmp_path)
    assert done.returncode == 2
    assert "data.path.0: the file is not the one that was built from" in done.stderr
    assert "ran" not in done.stdout


def test_pinned_training_is_taken_by_its_hash_or_refused(small: Path, tmp_path: Path) -> None:
    def declare(lock: dict[str, Any]) -> None:
        for stage in [name for name in lock["stages"] if name not in ("data", "base", "finetune")]:
            del lock["stages"][stage]
        lock["stages"]["base"]["pinned"] = lock["stages"]["finetune"]["pinned"] = "trained on cuda"
        lock["config"]["until"] = "finetune"

    folder = damaged(small, tmp_path, declare)
    done = run_build("lock", "reproduce", str(folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "finetune: not compared (trained on cuda)" in done.stdout
    assert "ran finetune" not in done.stdout
    done = run_build("lock", "reproduce", str(folder), cwd=tmp_path, cache=tmp_path / "empty")
    assert done.returncode == 6
    assert "base is pinned by its hashes" in done.stderr


def test_diff_names_a_changed_key_and_a_changed_byte(small: Path, tmp_path: Path) -> None:
    done = run_build("lock", "diff", str(small), str(small), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "no stage differs\n")
    other = tmp_path / "other"
    shutil.copytree(small, other)
    page = other / "bundle" / "index.html"
    content = bytearray(page.read_bytes())
    content[100] ^= 1
    page.write_bytes(content)
    done = run_build("lock", "diff", str(small), str(other), cwd=tmp_path)
    assert done.returncode == 6
    assert "bundle/index.html: byte 100 is the first that differs" in done.stdout


def test_upgrade_rebuilds_the_library_and_the_site_alone(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small, copy)
    done = run_build("lock", "upgrade", str(copy), "runtime=web_llm_0_2_86", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rebuilt  compile, bundle\n" in done.stdout
    trained = ("data", "base", "finetune", "merge", "normalize", "convert", "chat_config")
    status = {step["stage"]: step["status"] for step in read_report(copy)["steps"]}
    assert {status[stage] for stage in trained} == {"hit"}
    lock = json.loads((copy / LOCK_NAME).read_text(encoding="utf-8"))
    assert lock["matrix"]["web_llm"] == "0.2.86"
    assert lock["command"][-1] == "runtime=web_llm_0_2_86"
    done = run_build("lock", "diff", str(small), str(copy), cwd=tmp_path)
    assert "compile is the first stage that differs" in done.stdout
    assert "runtime.web_llm is 0.2.85 in the first, 0.2.86 in the second" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lock"], "lock: say what to do"),
        (["lock", "diff", "."], "lock: say what to do"),
        (["lock", "diff", ".", "."], LOCK_NAME),
        (["lock", "upgrade", ".", "runtime=newest"], "web_llm_0_2_86"),
        (["lock", "upgrade", ".", "quant=q0f32"], "not a matrix row"),
        (["recipe"], "recipe: say what to freeze"),
        (["runtime.web_llm=0.2.79"], "the nearest row that works: runtime=web_llm_0_2_84"),
        (["compiler.python=/no/python"], "compiler.python: no program"),
    ],
)
def test_mistakes_are_sentences(words: list[str], told: str, tmp_path: Path) -> None:
    done = run_build(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
