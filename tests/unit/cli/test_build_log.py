"""A build's log: written, closed, and no trace of it among the process's loggers."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.harness import leaks
from webslm.cli.build_log import logged_to


def test_file_holds_what_was_logged_and_loggers_are_as_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("webslm.engine.any")
    before = leaks.loggers()
    with logged_to(tmp_path / "runs"):
        logger.info("one stage ran")
    assert leaks.loggers() == before
    logger.warning("said twice?")
    assert caplog.messages == ["said twice?"]
    told = (tmp_path / "runs" / "webslm.log").read_text(encoding="utf-8")
    assert told.endswith("INFO webslm.engine.any: one stage ran\n")


def test_build_that_logs_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with logged_to(tmp_path / "runs"):
        pass
    assert not list(tmp_path.iterdir())
