"""Fixtures that every kind of test may use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness import leaks, order, store
from tests.integration.conftest import MEDICAL, OUTPUT, TAUGHT, run_build, run_process
from webslm.basics.paths import cache_dir

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("webslm", deadline=None)
settings.load_profile("webslm")

SYSTEM = "You are a helpful assistant."


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what ``make shuffled`` and ``make seconds`` ask for."""
    group = parser.getgroup("webslm")
    group.addoption("--shuffle", type=int, metavar="SEED", help="an order that SEED decides")
    group.addoption("--seconds", type=Path, metavar="FILE", help="write what each file took")


def pytest_configure(config: pytest.Config) -> None:
    """Share processors and one new store among the session's processes; the first of them does."""
    config.pluginmanager.register(order.Clock())
    if hasattr(config, "workerinput"):
        return
    workers = config.getoption("numprocesses", None) or 1
    # More threads than processors wait for each other, torch's above all.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    store.open_store()
    if target := config.getoption("--seconds"):
        config.pluginmanager.register(order.Sum(target))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's store."""
    if not hasattr(config, "workerinput"):
        store.close_store()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what stands on the whole demo; the longest files come first, or any for a seed."""
    for item in items:
        if "medical" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.demo)
    seed = config.getoption("--shuffle")
    if seed is None:
        order.longest_first(items)
    else:
        order.shuffle(items, seed)


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    """Fail a test that the next one could notice."""
    with leaks.nothing_left() as left:
        yield
    assert not left, "left behind: " + "; ".join(left)


def chat_row(question: str, answer: str, system: str | None = SYSTEM) -> dict[str, object]:
    """Return one single-turn row."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return {"messages": messages}


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of JSONL files; strings are written as they are."""

    def write(name: str, rows: list[object]) -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def medical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with all its rows, on the base that is made here; for `make demo-test`."""
    root = tmp_path_factory.mktemp("medical")
    done = run_process(*MEDICAL, cwd=root)
    assert done.returncode == 0, done.stderr + done.stdout
    return root / OUTPUT


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build, proven and delivered, for tests that need any real site."""
    root = tmp_path_factory.mktemp("taught")
    done = run_build(*TAUGHT, cwd=root)
    assert done.returncode == 0, done.stderr + done.stdout
    return root / OUTPUT


@pytest.fixture
def own_cache(tmp_path: Path) -> Path:
    """An empty store that shares the machine's tool caches (runtime objects, npm package)."""
    shared = cache_dir() / "tools"
    shared.mkdir(parents=True, exist_ok=True)
    root = tmp_path / "cache"
    root.mkdir()
    (root / "tools").symlink_to(shared)
    return root
