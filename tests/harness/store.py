"""A store of the session's own, so that every hit was earned by this session."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from webslm.basics.paths import cache_dir

KEPT = "WEBSLM_TEST_STORE"
"""Names a folder that is the store instead and stays: a job that has just built into it."""
_own: Path | None = None


def open_store() -> None:
    """Point this process and all that it starts at an empty store with the machine's tools.

    Tools are what is fetched or compiled by its digest: npm packages, runtime objects, wheels.
    """
    global _own
    if kept := os.environ.get(KEPT):
        os.environ["WEBSLM_CACHE"] = kept
        return
    tools = cache_dir() / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    _own = Path(tempfile.mkdtemp(prefix="webslm-tests-"))
    os.environ["WEBSLM_CACHE"] = str(_own)
    (_own / "tools").symlink_to(tools.resolve())


def close_store() -> None:
    """Remove what ``open_store`` made."""
    if _own is not None:
        shutil.rmtree(_own, ignore_errors=True)
