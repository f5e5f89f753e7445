"""Measure what a sweep of four formats over one fine-tune costs beside one build.

    python bench/sweep_cost.py [OVERRIDE ...]

Both start from an empty store that shares only the machine's tool cache (runtime objects, npm
package), as every build after a machine's first does. Prints JSON. Wall time suffers from other
work on the machine, processor time does not: both ratios are given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from webslm.basics.paths import cache_dir

FORMATS = "quant=q4f32_1,q0f32,q4f16_1,q0f16"
ONE = "quant=q4f32_1"
# What a proof takes is the browser's: both sides end before it.
UNTIL = "until=bundle"


def main() -> None:
    words = ["base=tiny", UNTIL, *sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        one = timed(Path(folder) / "one", [*words, ONE])
        four = timed(Path(folder) / "four", ["-m", *words, FORMATS])
    ratio = {key: round(four[key] / one[key], 3) for key in ("wall_s", "cpu_s", "executed")}
    print(json.dumps({"one_build": one, "four_formats": four, "ratio": ratio}, indent=1))


def timed(root: Path, words: list[str]) -> dict[str, Any]:
    """Run a command from an empty store; return seconds, processor seconds, stages that ran."""
    store = root / "cache"
    store.mkdir(parents=True)
    (store / "tools").symlink_to(cache_dir() / "tools")
    before, started = os.times(), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "webslm", *words],
        cwd=root,
        env={**os.environ, "WEBSLM_CACHE": str(store)},
        stdout=sys.stderr,
        check=True,
    )
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {
        "wall_s": round(time.monotonic() - started, 1),
        "cpu_s": round(cpu, 1),
        "executed": len(list(store.glob("artifacts/*/*/artifact.json"))),
    }


if __name__ == "__main__":
    main()
