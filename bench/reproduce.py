"""Build the tiny medical recipe again from its lock, twice, and write what was equal.

    taskset -c 2,3 python bench/reproduce.py [--keep FOLDER]

Builds the last commit in a clone with the machine's store; then, in two more clones with an empty
``WEBSLM_CACHE`` each, so that runtime objects are made and web-llm is fetched anew, runs
``lock reproduce``, both at once, one with another user, home, path, locale, zone and hash seed.
Needs root, to become another user. Writes bench/results/reproduce.md; exits with 1 when a build
is not the lock's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).resolve().parent / "results" / "reproduce.md"
RECIPE = "medical_tiny"
OTHER_UID = 65534
# The interpreter may lie in the first user's home: the other one may read it, not write.
OTHER_USER = (
    *("setpriv", f"--reuid={OTHER_UID}", f"--regid={OTHER_UID}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
OTHER_PLACE = {
    "USER": "nobody",
    "LOGNAME": "nobody",
    "LC_ALL": "C",
    "LANG": "C",
    "TZ": "Asia/Tokyo",
    "PYTHONHASHSEED": "7",
}


@dataclass
class Case:
    """One way of running webslm, and what came of it."""

    root: Path
    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    code: int = -1
    told: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str) -> None:
        """Run ``python -m webslm`` from a new clone of the last commit."""
        source = self.root / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
        if self.prefix:
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, OTHER_UID, OTHER_UID, follow_symlinks=False)
        started = time.monotonic()
        with (self.root / "log.txt").open("w", encoding="utf-8") as log:
            self.code = subprocess.run(
                [*self.prefix, sys.executable, "-m", "webslm", *words],
                cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(source), **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        self.seconds = time.monotonic() - started

    def reproduce(self, built: Path) -> None:
        """Build again from the lock in ``built`` and note what is said of every stage."""
        for name in ("home", "tmp", "cache"):
            (self.root / name).mkdir(parents=True)
        out = shutil.copytree(built, self.root / "out")
        self.environment["WEBSLM_CACHE"] = str(self.root / "cache")
        self.run("lock", "reproduce", str(out))
        for line in (self.root / "log.txt").read_text(encoding="utf-8").splitlines():
            stage, found, what = line.partition(": ")
            if found and stage.isidentifier():
                self.told[stage] = what


def cases(root: Path) -> tuple[Case, Case]:
    """Return the same user's case, and that of another user in another place."""
    npm = ["npm", "config", "get", "userconfig"]
    settings = subprocess.run(npm, capture_output=True, text=True, check=True).stdout.strip()
    other = root / "b ein anderer Ört"
    homes = {"HOME": str(other / "home"), "TMPDIR": str(other / "tmp")}
    # The way to the registry is the machine's, not the user's.
    elsewhere = {**OTHER_PLACE, **homes, "NPM_CONFIG_USERCONFIG": settings}
    return Case(root / "a"), Case(other, OTHER_USER, elsewhere)


def page(first: Case, second: Case, commit: str) -> str:
    """Return the table of both cases: how they ran, and what was equal."""
    pair = (first, second)
    rows = [
        ("user", ["the same", f"uid {OTHER_UID}"]),
        ("folder", [f"`{case.root.name}`" for case in pair]),
        ("`HOME`, `TMPDIR`", ["the machine's", "own"]),
        *((f"`{name}`", ["the machine's", f"`{there}`"]) for name, there in OTHER_PLACE.items()),
        ("seconds, both at once", [f"{case.seconds:.0f}" for case in pair]),
        ("exit status", [str(case.code) for case in pair]),
        *((stage, [case.told.get(stage, "-") for case in pair]) for stage in first.told),
    ]
    table = [f"| {name} | {' | '.join(cells)} |" for name, cells in rows]
    head = [
        "# Reproduce from a lock",
        "",
        f"`taskset -c 2,3 python bench/reproduce.py`, at commit {commit}: `recipe={RECIPE}`",
        "built and proven; then, in two fresh clones, each with an empty `WEBSLM_CACHE` (runtime",
        "objects made and web-llm fetched anew), `python -m webslm lock reproduce FOLDER`. It",
        "compares every file of every stage with the lock and the delivered site byte by byte,",
        "and stops at the first difference.",
        "",
        "| | first | second |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *table]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", type=Path, help="an empty folder to work in, kept afterwards")
    options = parser.parse_args()
    root = options.keep or Path(tempfile.mkdtemp(prefix="webslm-reproduced-"))
    root.mkdir(exist_ok=True)
    root.chmod(0o755)
    built = Case(root / "built")
    built.root.mkdir()
    built.run(f"recipe={RECIPE}", "output_dir=out")
    if built.code:
        raise SystemExit(f"the build ended with {built.code}: see {built.root / 'log.txt'}")
    pair = cases(root)
    with ThreadPoolExecutor() as both:
        list(both.map(lambda case: case.reproduce(built.root / "out"), pair))
    if any(case.code for case in pair):
        raise SystemExit(f"not reproduced: see the two log.txt below {root}")
    revision = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(revision, capture_output=True, text=True, check=True).stdout.strip()
    TABLE.write_text(page(*pair, commit), encoding="utf-8")
    if options.keep is None:
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
