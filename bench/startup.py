"""Measure what a user waits for when nothing is built: a no-op build, --help, --cfg job.

    python bench/startup.py [RECIPE [ROUNDS [OVERRIDE ...]]]

Prints the median wall time of each command, in seconds, and its ratio to ``python -c pass``, taken
in turns so that other work on the machine weighs on all alike. Asserts nothing. The recipe should
be stored already; the first round, which may build it, is not counted.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

RECIPE = sys.argv[1] if len(sys.argv) > 1 else "medical_tiny"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 9


def main() -> None:
    """Run the commands in turns and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        webslm = (sys.executable, "-m", "webslm")
        choice = (f"recipe={RECIPE}", f"output_dir={folder}/out", *sys.argv[3:])
        commands = {
            "python -c pass": (sys.executable, "-c", "pass"),
            "no-op build": (*webslm, *choice),
            "dry_run=true": (*webslm, *choice, "dry_run=true"),
            "--help": (*webslm, "--help"),
            "--cfg job": (*webslm, "--cfg", "job"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(ROUNDS + 1):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, cwd=folder)
                if turn:
                    seconds[name].append(time.perf_counter() - started)
        bare = statistics.median(seconds["python -c pass"])
        for name, taken in seconds.items():
            middle = statistics.median(taken)
            print(f"{name:<15} {middle:6.3f} s  {middle / bare:6.1f} x")


if __name__ == "__main__":
    main()
