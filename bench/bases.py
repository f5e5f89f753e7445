"""Convert and compile base groups at full size with random weights; write a table.

Run: python bench/bases.py [GROUP…] [--quant=q4f16_1]. Every build starts in an empty store, so that
nothing is a hit; needs 2.6 bytes of disk per parameter and no network.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from webslm import proc

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).resolve().parent / "results" / "bases.md"
DEFAULT = ("smollm2_135m", "qwen2_5_0_5b", "qwen2_5_1_5b", "llama_3_2_1b", "phi_3_5_mini")
HEAD = (
    "| base | format | parameters | read MB/s | convert s | convert MiB | stored MB "
    "| bits per weight | compile s | compile MiB | wasm MB | shaders |\n|---|---|" + "---:|" * 10
)


def build(base: str, quant: str) -> dict[str, Any]:
    """Run one build in a fresh store and return its report."""
    with tempfile.TemporaryDirectory(prefix="webslm-bench-") as folder:
        cache = Path(folder) / "cache"
        tools = Path(os.environ.get("WEBSLM_CACHE", "")) / "tools"
        if os.environ.get("WEBSLM_CACHE") and tools.is_dir():
            # The wasm runtime is built once per machine; its two minutes are not the model's.
            shutil.copytree(tools, cache / "tools")
        words = [f"base={base}", "base.weights=random", "finetune=none", "until=compile"]
        words += [f"quant={quant}", f"output_dir={folder}/out"]
        proc.run(
            [sys.executable, "-m", "webslm", *words],
            cwd=ROOT,
            env={**os.environ, "WEBSLM_CACHE": str(cache)},
        )
        text = (Path(folder) / "out" / "report.json").read_text(encoding="utf-8")
        report: dict[str, Any] = json.loads(text)
        return report


def row(base: str, quant: str, report: dict[str, Any]) -> str:
    """Return a line of the table."""
    steps = {step["stage"]: step for step in report["steps"]}
    metrics = {name: report["metrics"][name] for name in ("base", "convert", "compile")}
    convert, compiled = metrics["convert"], metrics["compile"]
    cells = (
        base,
        quant,
        f"{metrics['base']['parameters']:,}",
        f"{convert['read_mb_per_s']:.0f}",
        f"{steps['convert']['seconds']:.1f}",
        f"{steps['convert']['peak_rss_bytes'] / 2**20:.0f}",
        f"{convert['bytes'] / 1e6:.0f}",
        f"{convert['bits_per_weight']:.2f}",
        f"{steps['compile']['seconds']:.1f}",
        f"{steps['compile']['peak_rss_bytes'] / 2**20:.0f}",
        f"{compiled['wasm_bytes'] / 1e6:.2f}",
        f"{compiled['num_shaders']}",
    )
    return f"| {' | '.join(cells)} |"


def main(words: list[str]) -> None:
    """Build what is asked for and write the table."""
    quants = [word.partition("=")[2] for word in words if word.startswith("--quant=")]
    bases = [word for word in words if not word.startswith("-")] or list(DEFAULT)
    rows = [HEAD]
    for base in bases:
        for quant in quants or ["q4f16_1"]:
            rows.append(row(base, quant, build(base, quant)))
            print(rows[-1], flush=True)
            TABLE.parent.mkdir(exist_ok=True)
            about = (
                f"Random weights, empty store, {os.cpu_count()} shared cores; peak of the process."
            )
            text = "\n".join(["# Bases at full size", "", about, "", *rows, ""])
            TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
