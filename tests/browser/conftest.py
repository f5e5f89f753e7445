"""One compiled model for all tests that chat."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chain import make_chain
from tests.integration.conftest import TAUGHT, run_build


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one artifact of every stage up to compile."""
    folder = tmp_path_factory.mktemp("chain")
    make_chain(folder)
    return folder


@pytest.fixture(scope="session")
def full_site(taught: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small build again with every mode: only what the modes add is built."""
    folder = tmp_path_factory.mktemp("full")
    words = (
        *TAUGHT,
        "app=full",
        "name=full",
        "until=bundle",
        "app.decoding.max_tokens=96",
    )
    done = run_build(*words, cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "ran finetune" not in done.stdout
    assert taught.is_dir()
    return folder / "outputs" / "full" / "bundle"
