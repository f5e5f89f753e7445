from __future__ import annotations

import sys
from pathlib import Path

import pytest

from webslm.basics.errors import ToolFailed
from webslm.basics.proc import run


def test_run_returns_what_was_printed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    out = run([sys.executable, "-c", "print('hi')"], log_path=log)
    assert out == "hi\n"
    assert log.read_text() == "hi\n"


def test_failure_names_program_code_and_last_line() -> None:
    script = "import sys; print('one'); print('two'); sys.exit(7)"
    with pytest.raises(ToolFailed, match="ended with code 7: two") as caught:
        run([sys.executable, "-c", script])
    assert caught.value.returncode == 7
    assert caught.value.tail == "one\ntwo"


def test_absent_program_is_a_sentence() -> None:
    with pytest.raises(ToolFailed, match="program not found: no-such-program"):
        run(["no-such-program"])


def test_program_without_end_is_killed() -> None:
    with pytest.raises(ToolFailed, match="no end after"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)
