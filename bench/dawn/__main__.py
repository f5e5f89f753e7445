"""Own the command line: measure builds through Dawn for Node, here or on another machine."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.dawn.builds import Build, read_build
from bench.dawn.judge import judge, speed_line
from bench.dawn.kit import DAWN, DAWN_VERSION, run_kit, write_kit
from webslm.basics import fs
from webslm.basics.errors import WebslmError
from webslm.basics.paths import cache_dir


def main(argv: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    options = _parser().parse_args(argv)
    try:
        entries = _measure(options)
    except WebslmError as exc:
        sys.stderr.write(f"error: {exc.message}\n")
        if exc.hint:
            sys.stderr.write(f"hint: {exc.hint}\n")
        return exc.exit_code
    if entries is None:
        return 0
    report = {
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "command": f"python -m bench.dawn {shlex.join(argv)}",
        "dawn": f"{DAWN} {DAWN_VERSION} (npm)",
        "builds": entries,
    }
    fs.write_text(options.out, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    _show(entries)
    return 0


def _measure(options: argparse.Namespace) -> list[dict[str, Any]] | None:
    builds: list[Build] = []
    jobs = {}
    for folder in options.outputs:
        build, job = read_build(folder)
        builds.append(build)
        jobs[build.name] = (build.bundle, job)
    with fs.temporary_dir(cache_dir(), "dawn") as work:
        results = options.read or work / "results"
        if options.read is None:
            kit = options.prepare or work / "kit"
            write_kit(kit, jobs, cache_dir() / "tools" / "npm")
            if options.prepare:
                sys.stdout.write(f"kit {kit}: run `sh run.sh RESULTS` in it on the other machine\n")
                return None
            run_kit(kit, results, software=options.software)
        return [
            judge(build, json.loads((results / f"{build.name}.json").read_text(encoding="utf-8")))
            for build in builds
        ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.dawn", description=__doc__)
    parser.add_argument("outputs", nargs="+", type=Path, help="outputs/<name> of finished builds")
    parser.add_argument("--out", type=Path, default=Path("dawn.json"), help="where the JSON goes")
    parser.add_argument("--software", action="store_true", help="use Chromium's SwiftShader")
    parser.add_argument("--prepare", type=Path, help="only write the kit, for another machine")
    parser.add_argument("--read", type=Path, help="judge the results a kit left in this folder")
    return parser


def _show(entries: Sequence[dict[str, Any]]) -> None:
    for entry in entries:
        shares = ", ".join(
            f"{name}: greedy {verdict['greedy_agreement']['dequantized']:.2f}, "
            f"forced top-1 {verdict['forced_top1_agreement']['dequantized']:.4f}"
            for name, verdict in entry["verdicts"].items()
        )
        sys.stdout.write(
            f"{entry['quant']:8} {entry['adapter']['description']}: {shares}; "
            f"gates refused: {len(entry['refused_gates'])}; {speed_line(entry['speed'])}\n"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
