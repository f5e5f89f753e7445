"""Kill small builds at random moments; the next run must end well and equal an undisturbed one.

    taskset -c 2,3 python bench/kills.py [--kills 200] [--seed 0] [--first 0] [--keep FOLDER]

Every round builds the whole chain of a tiny base from an empty store (only the machine's tool
cache, addressed by content, is shared), is ended by SIGKILL, and is run again. Then every file of
the store and of the output folder must be that of an undisturbed build in a fresh Python. Of the
lock only measured times and memory may differ; nothing may be left over or quarantined.

A kill comes right before or after a rename, right before any other change of a file in the
store or output, or at a moment of the clock; to the process alone or to its whole group. In every
second round an older site is replaced. Most builds run in a fork of this process, which has
imported the heavy libraries already; every ``--cold-every``-th runs in a fresh Python, every
``--proof-every``-th goes on to the proof in the browser. The library, which is most of the work and
is shared by all builds of a shape, is compiled in every ``--compile-every``-th round and lies in
the store before the others. Prints one line a round and exits with 1
when a round did not end as it must. Round N of a seed is always the same draw, so that
``--first`` goes on where another call ended.
"""

from __future__ import annotations

import argparse
import collections
import functools
import importlib
import json
import os
import pkgutil
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kills_outcome import differences, leftovers, outcome, stage_under_way

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as webslm.cli does, before torch is loaded

TINY = (
    "data.path=rows.jsonl",
    "base.shape.hidden_size=32",
    "base.shape.intermediate_size=64",
    "base.shape.num_hidden_layers=1",
    "base.shape.num_attention_heads=1",
    "base.shape.num_key_value_heads=1",
    "base.shape.head_dim=32",
    "base.shape.vocab_size=512",
    "base.tiny.steps=2",
    "lora.epochs=3",
    "output_dir=out",
)
PROOF = (
    *("verify.min_answers=0", "verify.num_prompts=1", "verify.num_tokens=4"),
    *("verify.max_answer_tokens=4", "verify.timeout_s=600"),
)
SITE = ("until=bundle",)
CASES = {"whole": SITE, "site": SITE, "proof": PROOF}
"""What is built: all of it, all but the library, and also the proof."""
OLDER = ("app.decoding.temperature=0.5",)
NUM_ROWS = 8
CHANGES = {"os.rename", "os.mkdir", "os.link", "os.remove", "os.rmdir", "os.utime", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
HEAVY = ("torch", "transformers", "tokenizers", "datasets", "accelerate", "peft", "trl", "tvm")


@dataclass(frozen=True)
class Kill:
    """When a build is ended."""

    kind: str
    """before rename, after rename, change or clock."""
    at: float
    """Number of the rename or change, or seconds."""
    group: bool
    """Whether the processes that the build started die as well."""

    def __str__(self) -> str:
        at = f"{self.at:.2f} s" if self.kind == "clock" else f"{self.at:.0f}"
        return f"{self.kind} {at}{', group' if self.group else ''}"


class Hook:
    """Counts what a build changes below a folder and ends the process at one of them."""

    def __init__(self, root: Path, kill: Kill | None) -> None:
        self.root, self.kill = str(root), kill
        self.counts: collections.Counter[str] = collections.Counter()
        self.after = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Count an audit event of Python's that changes a file of ours."""
        if self.after:
            self.end()
        if not self.is_ours(event, args):
            return
        self.counts["change"] += 1
        self.counts["rename"] += event == "os.rename"
        if self.kill is None:
            return
        kind = self.kill.kind
        if kind == "change" and self.counts["change"] == self.kill.at:
            self.end()
        if event == "os.rename" and self.counts["rename"] == self.kill.at:
            self.after = kind == "after rename"
            if kind == "before rename":
                self.end()

    def is_ours(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "open":
            if not isinstance(args[2], int) or not args[2] & WRITES:
                return False
        elif event not in CHANGES:
            return False
        return isinstance(args[0], (str, os.PathLike)) and str(args[0]).startswith(self.root)

    def end(self) -> None:
        if self.kill is not None and self.kill.group:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


class Place:
    """One folder with an own store and an own output."""

    def __init__(self, root: Path, tools: Path, rows: bytes, older: Path | None = None) -> None:
        self.root = root
        self.cache, self.work, self.tmp = root / "cache", root / "work", root / "tmp"
        for folder in (self.cache, self.work, self.tmp):
            folder.mkdir(parents=True)
        (self.cache / "tools").symlink_to(tools, target_is_directory=True)
        (self.work / "rows.jsonl").write_bytes(rows)
        if older is not None:
            shutil.copytree(older, self.work / "out")

    @property
    def out(self) -> Path:
        return self.work / "out"


def hooked(place: Path, words: Sequence[str], kill: Kill | None) -> int:
    """Run a build in this process with the hook installed; return its exit code."""
    hook = Hook(place, kill)
    sys.addaudithook(hook)
    from webslm.cli import run

    code = run(list(words))
    if kill is None:
        (place / "counts.json").write_text(json.dumps(hook.counts))
    sys.stdout.flush()
    return code


def child(place: Place, words: Sequence[str], kill: Kill | None, *, cold: bool) -> int:
    """Be the build's process: leader of its own group, with an own store, output and log."""
    os.setsid()
    os.chdir(place.work)
    os.environ["WEBSLM_CACHE"], os.environ["TMPDIR"] = str(place.cache), str(place.tmp)
    tempfile.tempdir = None
    log = os.open(place.root / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    if cold:
        told = json.dumps([str(place.root), None if kill is None else vars(kill)])
        os.execv(sys.executable, [sys.executable, __file__, "--child", told, *words])
    return hooked(place.root, words, kill)


def start(place: Place, words: Sequence[str], kill: Kill | None, *, cold: bool) -> int:
    """Start a build as leader of its own group; return its process id."""
    return fork(lambda: child(place, words, kill, cold=cold))


def wait(pid: int, kill: Kill | None) -> int:
    """Wait for a build, end it when its time comes; return the exit code or minus the signal."""
    deadline = time.monotonic() + kill.at if kill and kill.kind == "clock" else None
    while deadline is not None:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            assert kill is not None
            try:
                (os.killpg if kill.group else os.kill)(pid, signal.SIGKILL)
            except ProcessLookupError:
                # Not yet the leader of a group.
                os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def build(
    place: Place, words: Sequence[str], kill: Kill | None = None, *, cold: bool = False
) -> int:
    return wait(start(place, words, kill, cold=cold), kill)


class Trial:
    """The undisturbed builds, and the rounds that are held against them."""

    def __init__(self, root: Path, tools: Path, rows: bytes) -> None:
        self.root, self.tools, self.rows = root, tools, rows
        self.fresh = Place(root / "undisturbed", tools, rows)
        self.expected: dict[str, dict[str, str]] = {}
        # The reference is a fresh Python's; then the same builds in a fork, to know how long
        # one takes here and how much it changes.
        for case in ("whole", "proof"):
            must(build(self.fresh, (*TINY, *CASES[case]), cold=True), self.fresh)
            self.expected[case] = outcome(self.fresh.cache, self.fresh.out)
        self.expected["site"] = self.expected["whole"]
        must(build(self.fresh, (*TINY, *SITE, *OLDER), cold=True), self.fresh)
        preload()
        self.counts: dict[str, dict[str, int]] = {}
        self.seconds: dict[str, float] = {}
        for case in CASES:
            place = self.place(f"forked-{case}", case)
            started = time.monotonic()
            must(build(place, (*TINY, *CASES[case])), place)
            self.seconds[case] = time.monotonic() - started
            self.counts[case] = json.loads((place.root / "counts.json").read_text())
            wrong = differences(self.expected[case], outcome(place.cache, place.out))
            if wrong:
                raise SystemExit(f"two undisturbed builds differ: {wrong}")
            shutil.rmtree(place.root)

    def place(self, name: str, case: str, *, older: bool = False) -> Place:
        """Make the folder of one build, with the library for the cases that do not make it."""
        place = Place(self.root / name, self.tools, self.rows, self.fresh.out if older else None)
        if case != "whole":
            library = Path("artifacts") / "compile"
            shutil.copytree(self.fresh.cache / library, place.cache / library)
        return place

    def draw(self, number: int, seed: int, case: str) -> Iterator[Kill]:
        """Yield moments, for as long as builds end before theirs."""
        dice = random.Random(f"{seed} {number}")
        counts = self.counts[case]
        while True:
            kind = dice.choice(("before rename", "after rename", "change", "clock"))
            span = counts["change" if kind == "change" else "rename"]
            at = dice.uniform(0, self.seconds[case]) if kind == "clock" else dice.randint(1, span)
            yield Kill(kind=kind, at=at, group=dice.random() < 0.5)

    def round(self, number: int, seed: int, case: str, *, cold: bool) -> tuple[str, list[str]]:
        """Kill one build and run it again; return what was done and what is wrong."""
        words = (*TINY, *CASES[case])
        for kill in self.draw(number, seed, case):
            place = self.place(f"round-{number}", case, older=number % 2 > 0)
            if build(place, words, kill, cold=cold) == -signal.SIGKILL:
                break
            # It ended before its time: no kill, another draw.
            shutil.rmtree(place.root)
        where = stage_under_way(place.cache, place.out)
        code = build(place, words, cold=cold)
        if code:
            wrong = [f"the next run ended with {code}"]
        else:
            wrong = differences(self.expected[case], outcome(place.cache, place.out))
            wrong += leftovers(place.cache, place.out)
        if not wrong:
            shutil.rmtree(place.root)
        python = "fresh" if cold else "fork"
        return f"{number:4d}  {case:<6}{python:<7}{where:<18}{kill}", wrong


def must(code: int, place: Place) -> None:
    if code:
        raise SystemExit(f"an undisturbed build ended with {code}: see {place.root / 'log.txt'}")


def preload() -> None:
    """Import what the stages import, and compute nothing: threads do not survive a fork."""
    from webslm import adapters, build, compiler, stages

    assert build
    for name in HEAVY:
        importlib.import_module(name)
    for package in (adapters, compiler, stages):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        root, kill = json.loads(sys.argv[2])
        return hooked(Path(root), sys.argv[3:], None if kill is None else Kill(**kill))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cold-every", type=int, default=20)
    parser.add_argument("--proof-every", type=int, default=20)
    parser.add_argument("--compile-every", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1, help="rounds at once")
    parser.add_argument("--keep", type=Path, help="folder for rounds that went wrong")
    options = parser.parse_args()
    from webslm.paths import PACKAGE, cache_dir

    lines = (PACKAGE / "data" / "medical" / "train.jsonl").read_bytes().splitlines(keepends=True)
    root = Path(tempfile.mkdtemp(prefix="webslm-kills-", dir=options.keep))
    trial = Trial(root, cache_dir() / "tools", b"".join(lines[:NUM_ROWS]))
    print(f"undisturbed: {trial.seconds} s, {trial.counts}", flush=True)
    started = time.monotonic()
    numbers = range(options.first, options.first + options.kills)
    workers = [
        fork(functools.partial(rounds, trial, numbers[each :: options.workers], options))
        for each in range(options.workers)
    ]
    bad = sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers)
    seconds = time.monotonic() - started
    print(f"{options.kills} kills, {bad} did not end whole and equal; {seconds:.0f} s")
    if not bad:
        shutil.rmtree(root)
    return int(bad > 0)


def fork(work: Callable[[], int]) -> int:
    """Call ``work`` in a child process, which ends with what it returns; return its id."""
    pid = os.fork()
    if not pid:
        code = 70
        try:
            code = work()
        finally:
            os._exit(code)
    return pid


def rounds(trial: Trial, numbers: Sequence[int], options: argparse.Namespace) -> int:
    """Do the rounds of these numbers; return how many went wrong."""
    bad = 0
    for number in numbers:
        case = "whole" if number % options.compile_every == 0 else "site"
        if number % options.proof_every == options.proof_every - 1:
            case = "proof"
        cold = number % options.cold_every == options.cold_every // 2
        told, wrong = trial.round(number, options.seed, case, cold=cold)
        bad += bool(wrong)
        sys.stdout.write(f"{told}  {'; '.join(wrong) or 'equal'}\n")
        sys.stdout.flush()
    return bad


if __name__ == "__main__":
    sys.exit(main())
