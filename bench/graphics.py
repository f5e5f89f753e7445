"""Measure a site on one machine, in lavapipe and in SwiftShader: seconds and processor seconds.

    python -m bench.graphics outputs/NAME/bundle --rounds 3

Rounds are interleaved, so that a busy machine is busy for both. Seconds of the graphics process's
own processor time do not depend on who else runs; shaders are compiled afresh in every round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from webslm.bundle.serve import running_server
from webslm.proof import browser, observe
from webslm.proof.graphics.choice import SHADERS
from webslm.proof.webgpu import adapter_name
from webslm.schema import Graphics

QUESTION = "What is a fever?"
COMPARED = (Graphics.lavapipe, Graphics.swiftshader)
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print a JSON line for every run, then a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=48, help="forced one answer long")
    words = parser.parse_args()
    seen: dict[Graphics, list[dict[str, Any]]] = {one: [] for one in COMPARED}
    for _ in range(words.rounds):
        for graphics in COMPARED:
            with tempfile.TemporaryDirectory() as shaders:
                os.environ[SHADERS] = shaders
                run = measure(words.bundle, graphics, words.tokens)
            seen[graphics].append(run)
            sys.stdout.write(json.dumps(run) + "\n")
            sys.stdout.flush()
    sys.stdout.write("\n".join(table(seen)) + "\n")


def measure(bundle: Path, graphics: Graphics, num_tokens: int) -> dict[str, Any]:
    """Visit a site in a fresh browser and force an answer of ``num_tokens``."""
    extra = {observe.HARNESS_PREFIX: observe.HARNESS}
    with (
        running_server(bundle, extra) as url,
        browser.session(None, timeout_s=900, graphics=graphics) as session,
    ):
        page = session.tab()
        visit = observe.visit_page(page, url, QUESTION, most_pieces=16)
        visited_s = processor_seconds()
        name, probe = adapter_name(session, page), observe.Probe(page, url)
        prompt = list(range(100, 132))
        started = time.monotonic()
        probe.follow(prompt, list(range(200, 200 + num_tokens)))
        probe.follow(prompt[::-1], list(range(300, 300 + num_tokens)))
        forced_s = time.monotonic() - started
        return {
            "graphics": name,
            "load_s": round(visit.load_s, 2),
            "first_piece_s": round(visit.first_piece_s, 2),
            "forced_s": round(forced_s, 2),
            "processor_s_of_visit": round(visited_s, 2),
            "processor_s_of_forcing": round(processor_seconds() - visited_s, 2),
        }


def processor_seconds() -> float:
    """Return what this process's browsers' graphics processes have used so far."""
    mine, used = {os.getpid()}, 0.0
    # A child's number is larger than its parent's until the numbers begin again.
    for pid in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) in mine:
            mine.add(pid)
            if b"--type=gpu-process" in command:
                used += (int(fields[11]) + int(fields[12])) / TICKS
    return used


def table(seen: dict[Graphics, list[dict[str, Any]]]) -> list[str]:
    """Return medians as lines of Markdown, with how many times as much SwiftShader takes."""
    keys = [key for key in seen[COMPARED[0]][0] if key != "graphics"]
    lines = ["| median | lavapipe | swiftshader | times |", "|---|---:|---:|---:|"]
    for key in keys:
        fast, slow = (statistics.median(run[key] for run in seen[one]) for one in COMPARED)
        times = f"{slow / fast:.1f}" if fast else ""
        lines.append(f"| {key} | {fast:g} | {slow:g} | {times} |")
    return lines


if __name__ == "__main__":
    main()
