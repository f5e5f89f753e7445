"""Measure what a user waits for when nothing is built: a no-op build, --help, --cfg job.

    python bench/startup.py [RECIPE [ROUNDS [OVERRIDE ...]]]

Prints the median and the shortest wall time of each command, its processor time, and the ratio of
the medians to that of ``python -c pass``, taken in turns so that other work on the machine weighs
on all alike. Without other work, wall time is hardly more than processor time. Asserts nothing. The
recipe should be stored already; the first round, which may build it, is not counted.
"""

from __future__ import annotations

import os
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
        worked: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(ROUNDS + 1):
            for name, command in commands.items():
                before, started = os.times(), time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, cwd=folder)
                taken, after = time.perf_counter() - started, os.times()
                if turn:
                    seconds[name].append(taken)
                    worked[name].append(
                        after.children_user
                        + after.children_system
                        - before.children_user
                        - before.children_system
                    )
        bare = statistics.median(seconds["python -c pass"])
        print(f"{ROUNDS} rounds, {os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}")
        print(f"{'command':<15}  {'median':>8}  {'shortest':>8}  {'processor':>9}  {'ratio':>6}")
        for name, taken_s in seconds.items():
            middle, cpu = statistics.median(taken_s), statistics.median(worked[name])
            print(
                f"{name:<15}  {middle:6.3f} s  {min(taken_s):6.3f} s  {cpu:7.3f} s  "
                f"{middle / bare:5.1f} x"
            )


if __name__ == "__main__":
    main()
