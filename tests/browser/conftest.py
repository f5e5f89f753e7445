"""One compiled model for all tests that chat."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chain import make_chain


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one artifact of every stage up to compile."""
    folder = tmp_path_factory.mktemp("chain")
    make_chain(folder)
    return folder
