"""Make the table of bench/results/kills.md from what bench/kills.py printed.

python bench/kills_table.py LOG ...
"""

from __future__ import annotations

import collections
import re
import sys
from pathlib import Path

KINDS = ("before rename", "after rename", "change", "clock")
LINE = re.compile(
    r" *\d+  (?P<case>\w+) +(?:fork|fresh) +(?P<where>start|after \w+|\w+) +"
    rf"(?P<kind>{'|'.join(KINDS)}) [\d.]+(?: s)?(?P<group>, group)?  (?P<end>.+)"
)
PLACES = (
    *("start", "data", "base", "inspect", "finetune", "merge", "normalize", "convert"),
    *("evaluate", "chat_config", "compile", "golden", "bundle", "verify"),
    *("between stages", "delivery"),
)


def main(logs: list[str]) -> None:
    """Print how many kills there were, of what kind, and where they hit."""
    lines = [line for log in logs for line in Path(log).read_text().splitlines()]
    kills = [found for line in lines if (found := LINE.fullmatch(line))]
    equal = sum(kill["end"] == "equal" for kill in kills)
    groups = sum(kill["group"] is not None for kill in kills)
    cases = collections.Counter(kill["case"] for kill in kills)
    print(f"{len(kills)} kills, {equal} ended whole and equal; {groups} of whole groups; {cases}\n")
    hits = collections.Counter((_place(kill["where"]), kill["kind"]) for kill in kills)
    print("| under way | before a rename | after a rename | before another change | by the clock |")
    print("|---|---:|---:|---:|---:|")
    for place in PLACES:
        print(f"| {place} | {' | '.join(str(hits[place, kind]) for kind in KINDS)} |")
    unknown = {place for place, _ in hits} - set(PLACES)
    if unknown:
        raise SystemExit(f"not in the table: {', '.join(sorted(unknown))}")
    sums = [sum(hits[place, kind] for place in PLACES) for kind in KINDS]
    print(f"| all | {' | '.join(map(str, sums))} |")


def _place(where: str) -> str:
    return "between stages" if where.startswith("after ") else where


if __name__ == "__main__":
    main(sys.argv[1:])
