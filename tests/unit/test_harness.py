"""What holds the other tests: leaks are named and mended, an order follows from its seed."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.harness import leaks, order


def change_folder(folder: Path) -> None:
    os.chdir(folder)


def set_variable(folder: Path) -> None:
    os.environ["WEBSLM_REMOTE"] = str(folder)


def lose_variable(folder: Path) -> None:
    del os.environ["PATH"]


def add_handler(folder: Path) -> None:
    logging.getLogger("webslm.cli").addHandler(logging.NullHandler())


def lower_root(folder: Path) -> None:
    logging.getLogger().setLevel(logging.DEBUG)


def silence(folder: Path) -> None:
    logging.getLogger("webslm").propagate = False


def lengthen_path(folder: Path) -> None:
    sys.path.insert(0, str(folder))


def take_signal(folder: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("leave", "told"),
    [
        (change_folder, "process cwd"),
        (set_variable, "environment WEBSLM_REMOTE"),
        (lose_variable, "environment PATH"),
        (add_handler, "logger webslm.cli"),
        (lower_root, "logger root"),
        (silence, "logger webslm"),
        (lengthen_path, "process sys.path"),
        (take_signal, "process SIGTERM"),
    ],
)
def test_what_is_left_behind_is_named_and_put_right(
    leave: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    before = {kind: look() for kind, look in leaks.KINDS.items()}
    with leaks.nothing_left() as left:
        leave(tmp_path)
    assert [line.partition(":")[0] for line in left] == [told]
    assert {kind: look() for kind, look in leaks.KINDS.items()} == before


def items(*names: str) -> list[Any]:
    return [SimpleNamespace(nodeid=name) for name in names]


NAMES = [f"tests/{file}.py::test_{number}" for file in "abcd" for number in range(5)]


def test_seed_decides_the_order_whatever_it_was_before() -> None:
    one, same, other = items(*NAMES), items(*reversed(NAMES)), items(*NAMES)
    for drawn, seed in ((one, 1), (same, 1), (other, 2)):
        order.shuffle(drawn, seed)
    assert [item.nodeid for item in one] == [item.nodeid for item in same]
    assert [item.nodeid for item in one] != [item.nodeid for item in other]
    assert sorted(item.nodeid for item in one) == NAMES
    # A file's tests stay together, for what they share.
    files = [order.file_of(item.nodeid) for item in one]
    assert len([at for at in range(1, 20) if files[at] != files[at - 1]]) == 3


def test_longest_files_come_first_and_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "known_seconds", lambda: {"tests/c.py": 90, "tests/b.py": 5})
    drawn = items(*NAMES)
    order.longest_first(drawn)
    assert [item.nodeid[6] for item in drawn[::5]] == ["c", "b", "a", "d"]
    assert [item.nodeid[-1] for item in drawn] == list("01234" * 4)
