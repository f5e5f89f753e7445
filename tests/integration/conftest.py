"""Builds shared by the integration and browser tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from webslm.basics.paths import cache_dir

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


def run_build(
    *words: str, cwd: Path, cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m webslm`` and return what it printed."""
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
