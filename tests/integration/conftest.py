"""Builds shared by the integration and browser tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from webslm.paths import cache_dir

# Small enough to train in seconds; every stage is the real one.
SMALL = (
    "base.shape.hidden_size=64",
    "base.shape.intermediate_size=128",
    "base.shape.num_hidden_layers=2",
    "base.shape.num_attention_heads=2",
    "base.shape.num_key_value_heads=1",
    "base.shape.head_dim=32",
    "base.tiny.steps=4",
    "lora.epochs=1",
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


@pytest.fixture
def own_cache(tmp_path: Path) -> Path:
    """An empty store that shares the machine's tool caches (runtime objects, npm package)."""
    shared = cache_dir() / "tools"
    shared.mkdir(parents=True, exist_ok=True)
    root = tmp_path / "cache"
    root.mkdir()
    (root / "tools").symlink_to(shared)
    return root
