"""Browsers that leave a process behind: Playwright would wait for its pipes for ever."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from webslm.basics.errors import EnvironmentMismatch, VerificationFailed
from webslm.proof import browser

STAYS = '#!/bin/sh\nsetsid sleep 120 &\necho $! > "{pid}"\n{then}\n'


@pytest.fixture
def stays(tmp_path: Path) -> Iterator[Path]:
    """Give the folder of a browser whose process that stayed is ended after the test."""
    yield tmp_path
    with suppress(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="ascii")), signal.SIGKILL)


def program(folder: Path, then: str) -> str:
    path = folder / "browser"
    path.write_text(STAYS.format(pid=folder / "pid", then=then), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_browser_that_never_answers_ends_in_one_error(
    stays: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser, "START_S", 2.0)
    named, started = program(stays, "exec sleep 120"), time.monotonic()
    with pytest.raises(EnvironmentMismatch) as caught, browser.session(named, timeout_s=5):
        pass
    assert caught.value.message == f"browser: {named} did not start within 2 s"
    assert "verify.browser=" in (caught.value.hint or "")
    assert time.monotonic() - started < 20
    gc.collect()
    assert capfd.readouterr() == ("", "")


def visit(named: str, problem: str | None) -> None:
    with browser.session(named, timeout_s=5) as session:
        assert session.tab().evaluate("1 + 1") == 2
        if problem is not None:
            raise VerificationFailed(problem)


@pytest.mark.browser
@pytest.mark.parametrize("problem", [None, pytest.param("it said no", marks=pytest.mark.slow)])
def test_browser_that_does_not_end_is_told_unless_more_failed_before(
    problem: str | None, stays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    named = program(stays, f'exec "{browser.find(None)}" "$@"')
    monkeypatch.setattr(browser, "END_S", 3.0)
    with pytest.raises((EnvironmentMismatch, VerificationFailed)) as caught:
        visit(named, problem)
    assert time.monotonic() - started < 60
    said = f"browser: {named} did not end within 3 s"
    assert caught.value.message == (said if problem is None else problem)
