"""Builds shared by the integration and browser tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.harness import leaks
from webslm.basics.paths import cache_dir
from webslm.cli.main import run

# Small enough to train in seconds; every stage is the real one.
SMALL = (
    "base=tiny",
    "base.shape.hidden_size=64",
    "base.shape.intermediate_size=128",
    "base.shape.num_hidden_layers=2",
    "base.shape.num_attention_heads=2",
    "base.shape.num_key_value_heads=1",
    "base.shape.head_dim=32",
    "base.tiny.steps=4",
    "lora.epochs=1",
    "lora.augment.copies=0",
    "evaluate=off",
)


# `make demo` on the base that is made here and needs no hub.
MEDICAL = ("domain=medical", "base=tiny", "quant=q4f32_1")
# The same with twelve of its rows and a model that learns them by heart in seconds.
TAUGHT = (
    *MEDICAL,
    f"data.path={Path(__file__).parents[1] / 'resources' / 'taught.jsonl'}",
    "base.shape.hidden_size=128",
    "base.shape.intermediate_size=256",
    "base.shape.num_hidden_layers=2",
    "base.shape.num_attention_heads=2",
    "base.shape.num_key_value_heads=1",
    "base.tiny.steps=40",
    "lora.epochs=120",
    "lora.augment.copies=0",
    "lora.learning_rate=1e-2",
)
OUTPUT = Path("outputs") / "medical-tiny-q4f32_1"
"""Where both deliver, below the folder that they run in."""


def run_build(
    *words: str, cwd: Path, cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Do here what ``python -m webslm`` does in a process of its own; return what it printed."""
    out, err = StringIO(), StringIO()
    with (
        leaks.nothing_left() as left,
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        # Outside of tests a warning of another's code ends nothing.
        warnings.simplefilter("ignore")
        patch.chdir(cwd)
        if cache is not None:
            patch.setenv("WEBSLM_CACHE", str(cache))
        code = run(list(words))
    # Switches of libraries may stay set: a build has its process for itself.
    assert [line for line in left if not line.startswith("environment")] == []
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def run_process(
    *words: str, cwd: Path, cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m webslm`` and return what it printed; for what only a process can show."""
    env = {**os.environ}
    if cache is not None:
        env["WEBSLM_CACHE"] = str(cache)
    return subprocess.run(
        [sys.executable, "-m", "webslm", *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def read_report(output: Path) -> dict[str, Any]:
    """Return report.json of an output folder."""
    report: dict[str, Any] = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return report


def stored(output: Path) -> dict[str, Path]:
    """Return where the artifacts of a build lie in the machine's own cache, by stage."""
    return {
        step["stage"]: cache_dir() / "artifacts" / step["stage"] / step["key"][:16] / "files"
        for step in read_report(output)["steps"]
    }
