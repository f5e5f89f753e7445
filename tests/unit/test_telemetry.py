"""Nobody is told that a build runs: the hub's library reads its switch at its first import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["webslm.cli.main", "webslm.training.tokenizer"])
def test_hubs_library_sends_nothing(module: str) -> None:
    code = f"import {module}, huggingface_hub.constants as c; print(c.HF_HUB_DISABLE_TELEMETRY)"
    env = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    done = subprocess.run((sys.executable, "-c", code), env=env, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
