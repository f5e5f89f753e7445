"""In which order a session takes its tests, and what each file took."""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

SECONDS = Path(__file__).with_name("seconds.json")
"""Processor seconds of each file of a second or more, as last written: ``make seconds``."""


def longest_first(items: list[pytest.Item]) -> None:
    """Keep files together; a long one that begins last would be waited for by all processes."""
    seconds = known_seconds()
    items.sort(key=lambda item: -seconds.get(file_of(item.nodeid), 0))


def known_seconds() -> dict[str, int]:
    """Return what was written, by file."""
    found: dict[str, int] = json.loads(SECONDS.read_text(encoding="utf-8"))
    return found


def shuffle(items: list[pytest.Item], seed: int) -> None:
    """Take files, and the tests of each, in an order that only the seed decides."""
    by_file: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in sorted(items, key=lambda each: each.nodeid):
        by_file[file_of(item.nodeid)].append(item)
    draw = random.Random(seed)
    files = sorted(by_file)
    draw.shuffle(files)
    items.clear()
    for file in files:
        draw.shuffle(by_file[file])
        items += by_file[file]


def file_of(nodeid: str) -> str:
    """Return the file of a test."""
    return nodeid.partition("::")[0]


class Clock:
    """Tells how much processor time each test's phases took, children that ended included.

    Of all times this is the one that other work on the machine does not stretch.
    """

    def __init__(self) -> None:
        self.last = processor_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """Add ``processor_seconds`` to a report; it travels to the first process."""
        report = yield
        now = processor_seconds()
        report.processor_seconds, self.last = now - self.last, now
        return report


def processor_seconds() -> float:
    """Return what this process and its ended children took of all processors until now."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Sum:
    """Adds up what the tests of each file took, with their fixtures; knows all processes."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count one of a test's three phases."""
        self.seconds[file_of(report.nodeid)] += report.processor_seconds

    def pytest_sessionfinish(self) -> None:
        """Write the files that took a second or more, the longest first."""
        longest = sorted(self.seconds.items(), key=lambda pair: (-pair[1], pair[0]))
        told = {name: round(seconds) for name, seconds in longest if round(seconds) > 0}
        self.target.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
