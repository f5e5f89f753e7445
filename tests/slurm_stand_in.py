"""``sbatch``, ``srun`` and ``sacct`` for tests: they run a job array on this machine, one by one.

The words are those that submitit gives to SLURM's own programs; nothing is queued or limited.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

JOB_ID = "4711"


def install(folder: Path) -> None:
    """Write the programs into ``folder``, which comes first on PATH."""
    folder.mkdir()
    for name in ("sbatch", "srun", "sacct"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        program.chmod(0o755)


def sbatch(script: Path) -> int:
    """Take a script, say its number and leave; the script goes on behind."""
    log = (script.parent / "stand-in.txt").open("w")
    words = (sys.executable, __file__, "run", str(script))
    # submitit puts down what to run under the number that it is told.
    subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    sys.stdout.write(f"Submitted batch job {JOB_ID}\n")
    return 0


def run(script: Path) -> int:
    """Run a script once for every index of its array."""
    last = re.search(r"^#SBATCH --array=0-(\d+)", script.read_text(), re.MULTILINE)
    assert last is not None
    for index in range(int(last.group(1)) + 1):
        env = {
            **os.environ,
            "SLURM_JOB_ID": JOB_ID,
            "SLURM_ARRAY_JOB_ID": JOB_ID,
            "SLURM_ARRAY_TASK_ID": str(index),
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_JOB_NODELIST": "here",
            "SLURM_NTASKS": "1",
            "SLURM_NODEID": "0",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
        }
        subprocess.run(["bash", str(script)], env=env, check=False)
    return 0


def srun(words: list[str]) -> int:
    """Run the command behind srun's own words, its output where they say."""
    where = {"--output": "", "--error": ""}
    while words and words[0].startswith("--"):
        flag = words.pop(0)
        if flag in where:
            where[flag] = words.pop(0)
    array = (os.environ.get("SLURM_ARRAY_JOB_ID", ""), os.environ.get("SLURM_ARRAY_TASK_ID", ""))
    for flag, name in where.items():
        for mark, value in (("%A", array[0]), ("%a", array[1]), ("%j", JOB_ID), ("%t", "0")):
            name = name.replace(mark, value)
        where[flag] = name
    with Path(where["--output"]).open("a") as out, Path(where["--error"]).open("a") as err:
        return subprocess.run(words, stdout=out, stderr=err, check=False).returncode


def main(words: list[str]) -> int:
    name, rest = words[0], words[1:]
    if name == "srun":
        return srun(rest)
    if name in ("sbatch", "run"):
        return {"sbatch": sbatch, "run": run}[name](Path(rest[0]))
    sys.stdout.write(f"JobID|State|NodeList\n{JOB_ID}_[0-99]|COMPLETED|here\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
