"""Own the boundary to everything that is not webslm: what libraries and the machine raise, said.

A user's file, disk or memory makes a library raise whatever it likes. ``explained`` turns that into
one sentence with a hint; what is left was raised by webslm's own lines and is a bug.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import sysconfig
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from webslm.basics.errors import Bug, ConfigError, EnvironmentMismatch, StageFailed, WebslmError

PACKAGE = Path(__file__).resolve().parent.parent
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM)
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
_NUMBER = re.compile(r"\(os error (\d+)\)|\bOs \{ code: (\d+)|\[Errno (\d+)\]")
_NO_MEMORY = re.compile(r"can(?:'t|not) allocate memory|not enough memory|out of memory", re.I)
_NO_USER = re.compile(r"getpwuid\(\)|determine home directory")
NO_SPACE = os.strerror(errno.ENOSPC)
ROOM = 1 << 28
"""Bytes left from which it must have been another disk that was full."""
NOTHING = 1 << 16
"""Bytes left from which a disk counts as full when nobody says which one is."""
LONGEST = 300
"""Characters of a library's own words that are told."""


def explained(
    error: BaseException, *, stage: str | None = None, places: Sequence[Path] = ()
) -> WebslmError:
    """Return what to tell of an exception.

    Args:
        error: Anything that was raised.
        stage: In whose work, if in a stage's.
        places: Folders that are written to; a full disk is looked for among them.
    """
    chain = list(_chain(error))
    known = next((each for each in chain[:1] if isinstance(each, WebslmError)), None)
    if known is not None:
        return known
    where = f"{stage}: " if stage else ""
    for each in chain:
        found = _machine(each, where, places) or _yaml(each, where)
        if found is not None:
            return found
    if _is_ours(error):
        return _bug(error, where)
    told = f"{where}{_library(error)}: {first_line(error)}"
    hint = "mostly a file that this library cannot read; the log holds its own words"
    kind = StageFailed if stage else ConfigError
    return kind(told, hint=hint, log_path=keep_trace(error))


def first_line(error: BaseException) -> str:
    """Return the first line that an exception says, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:LONGEST] if lines else type(error).__name__


def keep_trace(error: BaseException) -> Path | None:
    """Write an exception's traceback to a file of its own; None: there is no place for it."""
    try:
        handle, name = tempfile.mkstemp(prefix="webslm-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_trace(error))
    except OSError:
        return None
    return Path(name)


def full_disk(places: Sequence[Path], needed: int | None = None) -> tuple[str, str]:
    """Return (sentence, hint) that name the fullest of the file systems below ``places``."""
    found = {}
    for place in places or [Path.cwd()]:
        near = _nearest(place)
        usage = shutil.disk_usage(near)
        found[near.stat().st_dev] = (usage.free, usage.total, near)
    free, total, near = min(found.values())
    if free > max(ROOM, needed or 0):
        return f"{NO_SPACE}: a disk is full{_named(places)}", "see which: df -h"
    asked = "" if needed is None else f", {_size(needed)} are needed"
    return (
        f"{NO_SPACE}: the disk at {_mount(near)} is full, {_size(free)} of {_size(total)} left"
        f"{asked}",
        "make room (python -m webslm cache gc --max-size 5GB), or set WEBSLM_CACHE, TMPDIR or "
        "output_dir to another disk",
    )


def _named(places: Sequence[Path]) -> str:
    return f": {places[0]}" if len(places) == 1 else ""


def _machine(error: BaseException, where: str, places: Sequence[Path]) -> WebslmError | None:
    number = _errno(error)
    if number in FULL:
        source, target = _files(error)
        needed = source.stat().st_size if target and source and source.is_file() else None
        written = target or source
        told, hint = full_disk([written] if written else [*places, *_full_scratch()], needed)
        return EnvironmentMismatch(where + told, hint=hint)
    if _NO_USER.search(str(error)):
        return EnvironmentMismatch(
            f"{where}this machine does not know the user that runs it",
            hint="name a home folder and a user: export HOME=/tmp USER=me",
        )
    if isinstance(error, MemoryError) or number == errno.ENOMEM or _says_no_memory(error):
        return StageFailed(f"{where}out of memory", hint="close programs or use a smaller base")
    if isinstance(error, RecursionError):
        return ConfigError(
            f"{where}something is nested too deeply, or refers to itself",
            hint="recipes that choose each other, or a file of very many brackets",
        )
    if number is None:
        return None
    source, target = _files(error)
    path = target or source
    told = f"{where}{path}: {os.strerror(number)}" if path else f"{where}{os.strerror(number)}"
    if number in TOO_MANY_FILES:
        return EnvironmentMismatch(told, hint="raise the limit: ulimit -n 4096")
    if number in REFUSED and path:
        return EnvironmentMismatch(told, hint=f"see who may: ls -ld {shlex.quote(str(path))}")
    if number in ABSENT:
        # A file of our own that is absent is a bug; so is a name that nobody gave.
        if path is None or path.is_relative_to(PACKAGE):
            return None
        return ConfigError(told, hint="check the path")
    return EnvironmentMismatch(
        told, hint="check that disk or connection, then run the same command again"
    )


def _full_scratch() -> list[Path]:
    """Return the folder of temporary files if nothing more goes into it."""
    folder = Path(tempfile.gettempdir())
    return [folder] if shutil.disk_usage(folder).free < NOTHING else []


def _yaml(error: BaseException, where: str) -> ConfigError | None:
    """Return what a YAML library cannot read: file, line, and what is mostly meant."""
    if not any(kind.__name__ == "YAMLError" for kind in type(error).__mro__):
        return None
    told = str(
        getattr(error, "problem", None) or getattr(error, "reason", None) or first_line(error)
    )
    mark: Any = getattr(error, "problem_mark", None)
    name = getattr(error, "name", None)
    place = f"{mark.name}:{mark.line + 1}: " if mark else f"{name}: " if name else ""
    hint = next((hint for part, hint in YAML_HINTS if part in told), 'quote texts: key: "text"')
    return ConfigError(f"{where}{place}not YAML: {told}", hint=hint)


YAML_HINTS = (
    (
        "mapping values are not allowed",
        'a key ends with a colon and a space; quote a text that holds one: key: "Tea: hot"',
    ),
    ("<document start>", "one document a file: take away lines of --- and ..."),
    ("another document", "one document a file: take away lines of --- and ..."),
    ("escape sequence", r"a backslash is a text in single quotes: key: 'C:\rows'"),
    ("constructor for the tag", "quote a text that begins with !"),
    ("'\\t'", "indent with spaces, YAML takes no tabs"),
    ("duplicate key", "a key stands once: join both, or remove one"),
    ("could not find expected ':'", "a key ends with a colon and a space: key: value"),
    ("expected ',' or", "a bracket or brace is left open, or a quote inside it"),
    ("found unexpected end of stream", "a quote is left open"),
    ("expected <block end>", "keys of one level stand in one column"),
    ("special characters are not allowed", "save the file as plain UTF-8 text"),
    ("cannot start any token", "quote a text that begins with @, `, % or a tab"),
)
"""What of PyYAML's sentence, and what to do."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)


def _errno(error: BaseException) -> int | None:
    """Return the machine's number of a fault; libraries of other languages write it in words."""
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        return error.errno
    found = _NUMBER.search(str(error))
    if found is None or (isinstance(error, OSError) and error.errno is not None):
        return None
    return int(next(filter(None, found.groups())))


def _files(error: BaseException) -> tuple[Path | None, Path | None]:
    """Return (the file named first, the file it was to be copied to)."""
    names = (getattr(error, "filename", None), getattr(error, "filename2", None))
    first, second = (
        Path(os.fsdecode(name)) if isinstance(name, str | bytes) else None for name in names
    )
    return first, second


def _says_no_memory(error: BaseException) -> bool:
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def _is_ours(error: BaseException) -> bool:
    """Return whether no library raised it, and it is no library's own kind of error."""
    if type(error).__module__ != "builtins":
        return False
    last = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        last = frame
    return last is None or not _is_a_librarys(last.f_code.co_filename)


def _is_a_librarys(source: str) -> bool:
    """Return whether a source file is Python's own or an installed package's."""
    path = Path(source)
    if path.is_relative_to(PACKAGE):
        return False
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return source.startswith("<") or any(
        path.is_relative_to(sysconfig.get_path(kind)) for kind in kinds
    )


def _library(error: BaseException) -> str:
    """Return the name of the library whose line raised, with the kind of error."""
    last = "?"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        last = str(frame.f_globals.get("__name__", "?")).partition(".")[0]
    own = type(error).__module__.partition(".")[0]
    return f"{last if own == 'builtins' else own} says {type(error).__name__}"


def _bug(error: BaseException, where: str) -> Bug:
    return Bug(
        f"{where}{type(error).__name__}: {first_line(error)}",
        hint="this is a fault of webslm, not yours: report it with the lines above",
        log_path=keep_trace(error),
        trace=_trace(error),
    )


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _nearest(path: Path) -> Path:
    """Return the path or the nearest folder above it that is there."""
    found = path.absolute()
    while not found.exists() and found != found.parent:
        found = found.parent
    return found


def _mount(path: Path) -> Path:
    found = path.resolve()
    while not os.path.ismount(found):
        found = found.parent
    return found


def _size(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)
