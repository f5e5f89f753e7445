"""Own the exception tree, its exit codes and its hints; know nothing else.

::

    WebslmError                 exit 1   message, optional hint and log_path
    |- ConfigError              exit 2   a bad value, combination or dataset line; names the key
    |- EnvironmentMismatch      exit 3   a missing or wrong tool, wheel, browser or disk
    |- StageFailed              exit 4   a stage could not do its work
    |  `- ToolFailed                     a subprocess failed: command, code, last lines
    |- VerificationFailed       exit 5   the browser or a gate saw something else
    |  `- GraphicsDied                   the browser's graphics process died of it
    |- CacheCorrupt             exit 6   only where a check was asked for; else a warning and a miss
    |- PublishError             exit 7   a finished build could not be published
    `- Bug                      exit 1   a fault of webslm itself, with its traceback
"""

from __future__ import annotations

from pathlib import Path

Problem = tuple[str, str | None]
"""What is wrong, and what to do (None: nothing else is known to help)."""


class WebslmError(Exception):
    """Base of everything a user may be told in one line."""

    exit_code = 1
    label = "error"

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        log_path: Path | str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log_path = None if log_path is None else Path(log_path)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.__dict__.copy(), self.args))


def _rebuild(
    kind: type[WebslmError], state: dict[str, object], args: tuple[object, ...]
) -> WebslmError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(WebslmError):
    """A value, a combination or a dataset line that cannot be built; may hold several problems."""

    exit_code = 2
    label = "config error"

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        log_path: Path | str | None = None,
        problems: tuple[Problem, ...] = (),
    ) -> None:
        """Keep ``problems`` (message, hint) in order; ``message`` defaults to the first."""
        if problems and not message:
            message, hint = problems[0]
        super().__init__(message, hint=hint, log_path=log_path)
        self.problems = problems or ((message, hint),)


class EnvironmentMismatch(WebslmError):
    """A tool, wheel, browser or resource is missing or of the wrong version."""

    exit_code = 3
    label = "environment error"


class StageFailed(WebslmError):
    """A stage could not do its work."""

    exit_code = 4
    label = "stage failed"


class ToolFailed(StageFailed):
    """A subprocess ended with a failure."""

    def __init__(
        self,
        message: str = "",
        *,
        command: str = "",
        returncode: int | None = None,
        tail: str = "",
        hint: str | None = None,
        log_path: Path | str | None = None,
    ) -> None:
        """Keep the command, its return code and its last lines beside the message."""
        super().__init__(message, hint=hint, log_path=log_path)
        self.command = command
        self.returncode = returncode
        self.tail = tail


class VerificationFailed(WebslmError):
    """What was expected was not what was seen."""

    exit_code = 5
    label = "verification failed"


class GraphicsDied(VerificationFailed):
    """The browser's graphics process died: its driver is at fault, or somebody killed it."""


class CacheCorrupt(WebslmError):
    """A stored or delivered file is not what its manifest or lock says."""

    exit_code = 6
    label = "corrupt"


class PublishError(WebslmError):
    """A finished build could not be published; the build itself is kept."""

    exit_code = 7
    label = "publish error"


class Bug(WebslmError):
    """A fault of webslm itself."""

    label = "a bug"

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        log_path: Path | str | None = None,
        trace: str = "",
    ) -> None:
        """Keep the traceback as text."""
        super().__init__(message, hint=hint, log_path=log_path)
        self.trace = trace
