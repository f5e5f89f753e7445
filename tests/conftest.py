"""Fixtures that every kind of test may use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.integration.conftest import run_build
from webslm.basics.paths import cache_dir

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("webslm", deadline=None)
settings.load_profile("webslm")

SYSTEM = "You are a helpful assistant."


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process make the medical build while the other runs the files that can do without."""
    needing = {item.path for item in items if "medical" in getattr(item, "fixturenames", ())}
    first = min(needing, default=None)

    def turn(item: pytest.Item) -> int:
        return 0 if item.path == first else 1 + (item.path in needing)

    items.sort(key=turn)


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
    """The README's main command on the base that is made here, in the machine's own cache."""
    root = tmp_path_factory.mktemp("medical")
    done = run_build("domain=medical", "base=tiny", "quant=q4f32_1", cwd=root)
    assert done.returncode == 0, done.stderr + done.stdout
    return root / "outputs" / "medical-tiny-q4f32_1"


@pytest.fixture
def own_cache(tmp_path: Path) -> Path:
    """An empty store that shares the machine's tool caches (runtime objects, npm package)."""
    shared = cache_dir() / "tools"
    shared.mkdir(parents=True, exist_ok=True)
    root = tmp_path / "cache"
    root.mkdir()
    (root / "tools").symlink_to(shared)
    return root
