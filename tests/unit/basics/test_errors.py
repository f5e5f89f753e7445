from __future__ import annotations

import pickle

import pytest

from webslm.basics import errors
from webslm.basics.errors import ConfigError, ToolFailed, WebslmError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WebslmError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling(kind: type[WebslmError]) -> None:
    error = kind("what happened", hint="what to type", log_path="/tmp/log")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.message, copy.hint, str(copy)) == (error.message, error.hint, str(error))
    assert copy.log_path == error.log_path


def test_tool_failed_keeps_its_command_when_pickled() -> None:
    error = ToolFailed("boom", command="zig c++", returncode=3, tail="last line")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.command, copy.returncode, copy.tail) == ("zig c++", 3, "last line")


def test_exit_codes_are_the_documented_ones() -> None:
    assert {kind.__name__: kind.exit_code for kind in KINDS} == {
        "WebslmError": 1,
        "ConfigError": 2,
        "EnvironmentMismatch": 3,
        "StageFailed": 4,
        "ToolFailed": 4,
        "VerificationFailed": 5,
        "GraphicsDied": 5,
        "CacheCorrupt": 6,
        "PublishError": 7,
        "Bug": 1,
    }


def test_config_error_takes_its_message_from_the_first_problem() -> None:
    error = ConfigError(problems=(("a: bad", "a=1"), ("b: bad", None)))
    assert (error.message, error.hint) == ("a: bad", "a=1")
    assert len(error.problems) == 2
