"""Kill small builds at random moments; the next run must end well and equal an undisturbed one.

    taskset -c 2,3 python bench/kills.py [--kills 200] [--seed 0] [--first 0] [--keep FOLDER]

Every round builds the whole chain of a tiny base from an empty store (only the machine's tool
cache, addressed by content, is shared), is ended by SIGKILL, and is run again. Then every file of
the store and of the output folder must be that of an undisturbed build in a fresh Python. Of the
lock only measured times and memory may differ; nothing may be left over or quarantined.

A kill comes right before or after a rename, right before any other change of a file in the
store or output, or at a moment of the clock; to the process alone or to its whole group. In every
second round an older site is replaced. Most builds run in a fork of this process, which has
imported the heavy libraries already; every ``--fresh-every``-th runs in a fresh Python, every
``--proof-every``-th goes on to the proof in the browser. The library, which is most of the work and
is shared by all builds of a shape, is compiled in every ``--compile-every``-th round and lies in
the store before the others. Zero means never. Prints one line a round and exits with 1 when a round
did not end as it must. ``--first`` goes on where another call ended.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kills_outcome import differences, leftovers, outcome, stage_under_way
from kills_process import Kill, Place, build, fork, preload

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # as webslm.cli.main does, before torch is loaded

TINY = (
    "base=tiny",
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
    "verify.num_prompts=1",
    "verify.min_answers=0",
    "output_dir=out",
)
PROOF = (
    "verify.num_tokens=4",
    "verify.max_answer_tokens=4",
    "verify.timeout_s=600",
)
SITE = ("until=bundle",)
CASES = {"whole": SITE, "site": SITE, "proof": PROOF}
"""What is built: all of it, all but the library, and also the proof."""
OLDER = ("app.decoding.temperature=0.5",)
NUM_ROWS = 8
KINDS = ("before rename", "after rename", "change", "clock")
RECORD_BYTES = 4


class Trial:
    """The undisturbed builds, and the rounds that are held against them."""

    kinds = KINDS
    """Of what kinds moments are drawn."""

    def __init__(self, root: Path, tools: Path, rows: bytes, cases: set[str]) -> None:
        self.root, self.tools, self.rows = root, tools, rows
        self.fresh = Place(root / "undisturbed", tools, rows)
        self.expected: dict[str, dict[str, str]] = {}
        # The reference is a fresh Python's; then the same builds in a fork, to know how long
        # one takes here and how much it changes.
        for case in ("whole", *({"proof"} & cases)):
            must(build(self.fresh, (*TINY, *CASES[case]), fresh=True), self.fresh)
            self.expected[case] = outcome(self.fresh.cache, self.fresh.out)
        self.expected["site"] = self.expected["whole"]
        must(build(self.fresh, (*TINY, *SITE, *OLDER), fresh=True), self.fresh)
        preload()
        self.counts: dict[str, dict[str, int]] = {}
        self.seconds: dict[str, float] = {}
        for case in sorted(cases):
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
            kind = dice.choice(self.kinds)
            span = counts["change" if kind == "change" else "rename"]
            at = dice.uniform(0, self.seconds[case]) if kind == "clock" else dice.randint(1, span)
            yield Kill(kind=kind, at=at, group=dice.random() < 0.5)

    def round(self, number: int, seed: int, case: str, *, fresh: bool) -> tuple[str, list[str]]:
        """Kill one build and run it again; return what was done and what is wrong."""
        words = (*TINY, *CASES[case])
        for kill in self.draw(number, seed, case):
            place = self.place(f"round-{number}", case, older=number % 2 > 0)
            if build(place, words, kill, fresh=fresh) == -signal.SIGKILL:
                break
            # It ended before its time: no kill, another draw.
            shutil.rmtree(place.root)
        where = stage_under_way(place.cache, place.out)
        code = build(place, words, fresh=fresh)
        if code:
            wrong = [f"the next run ended with {code}"]
        else:
            wrong = differences(self.expected[case], outcome(place.cache, place.out))
            wrong += leftovers(place.cache, place.out)
        if not wrong:
            shutil.rmtree(place.root)
        python = "fresh" if fresh else "fork"
        return f"{number:4d}  {case:<6}{python:<7}{where:<18}{kill}", wrong


def must(code: int, place: Place) -> None:
    if code:
        raise SystemExit(f"an undisturbed build ended with {code}: see {place.root / 'log.txt'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh-every", type=int, default=20)
    parser.add_argument("--proof-every", type=int, default=20)
    parser.add_argument("--compile-every", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1, help="rounds at once")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--keep", type=Path, help="folder for rounds that went wrong")
    options = parser.parse_args()
    from webslm.basics.paths import PACKAGE, cache_dir

    lines = (PACKAGE / "data" / "medical" / "train.jsonl").read_bytes().splitlines(keepends=True)
    root = Path(tempfile.mkdtemp(prefix="webslm-kills-", dir=options.keep))
    tools = cache_dir() / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    numbers = range(options.first, options.first + options.kills)
    cases = {case_of(number, options) for number in numbers}
    trial = Trial(root, tools, b"".join(lines[:NUM_ROWS]), cases)
    trial.kinds = tuple(options.kinds)
    print(f"undisturbed: {trial.seconds} s, {trial.counts}", flush=True)
    started = time.monotonic()
    # A pipe is the queue: a read takes one whole record, whoever reads.
    queue, end = os.pipe()
    for number in numbers:
        os.write(end, number.to_bytes(RECORD_BYTES, "big"))
    os.close(end)
    workers = [fork(lambda: rounds(trial, queue, options)) for _ in range(options.workers)]
    bad = sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers)
    seconds = time.monotonic() - started
    print(f"{options.kills} kills, {bad} did not end whole and equal; {seconds:.0f} s")
    if not bad:
        shutil.rmtree(root)
    return int(bad > 0)


def is_turn(number: int, every: int, rest: int) -> bool:
    return every > 0 and number % every == rest


def case_of(number: int, options: argparse.Namespace) -> str:
    if is_turn(number, options.proof_every, options.proof_every - 1):
        return "proof"
    return "whole" if is_turn(number, options.compile_every, 0) else "site"


def rounds(trial: Trial, queue: int, options: argparse.Namespace) -> int:
    """Do rounds while there are numbers in the queue; return how many went wrong."""
    bad = 0
    while record := os.read(queue, RECORD_BYTES):
        number = int.from_bytes(record, "big")
        fresh = is_turn(number, options.fresh_every, options.fresh_every // 2)
        told, wrong = trial.round(number, options.seed, case_of(number, options), fresh=fresh)
        bad += bool(wrong)
        sys.stdout.write(f"{told}  {'; '.join(wrong) or 'equal'}\n")
        sys.stdout.flush()
    return bad


if __name__ == "__main__":
    sys.exit(main())
