"""Own the version matrix: rows of versions that work together, and whether this machine is one."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.basics.keys import restored
from webslm.basics.paths import conf_dirs
from webslm.schema import RuntimeConf

VECTOR_UNITS = ("avx512f", "avx2", "asimd", "sse4_2")
"""Widest first; sums of a vector unit's width round in another order."""


def installed(wheels: Iterable[str]) -> dict[str, str | None]:
    """Return the installed version of each wheel (without local part), None when absent."""
    found: dict[str, str | None] = {}
    for name in wheels:
        try:
            found[name] = metadata.version(name).split("+")[0]
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def check_wheels(wheels: Mapping[str, str], row: str) -> None:
    """Refuse a machine whose wheels are not the row's.

    Raises:
        EnvironmentMismatch: Names every wheel that differs and the command that mends it.
    """
    found = installed(wheels)
    wrong = [name for name, version in wheels.items() if found[name] != version]
    if not wrong:
        return
    told = ", ".join(
        f"{name} {found[name] or 'is not installed'} (needs {wheels[name]})" for name in wrong
    )
    raise EnvironmentMismatch(f"matrix row {row!r}: {told}", hint=install_command(wheels, wrong))


def install_command(wheels: Mapping[str, str], names: Iterable[str]) -> str:
    """Return what to type so that the named wheels are the row's."""
    pins = " ".join(f"'{name}=={wheels[name]}'" for name in names)
    return f"{sys.executable} -m pip install {pins}"


def rows() -> dict[str, RuntimeConf]:
    """Return the rows by name, shipped and the project's own, in the order of their names."""
    import yaml

    found: dict[str, RuntimeConf] = {}
    folders = [folder / "runtime" for folder in conf_dirs()]
    for path in sorted(path for folder in folders for path in folder.glob("*.yaml")):
        values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        found[path.stem] = restored(RuntimeConf, values)
    return found


def mismatches(runtime: RuntimeConf) -> Iterator[tuple[str, str | None]]:
    """Yield what in a row does not go together, each with the reason and the nearest good row."""
    own = {"web_llm": runtime.web_llm, "python": platform.python_version()}
    versions = {**runtime.wheels, **runtime.tools, **own}
    for part, allowed in runtime.allowed.items():
        version = versions.get(part)
        if version is None or is_in(version, allowed.range):
            continue
        if part == "python":
            yield f"python {version} is outside {allowed.range}: {allowed.reason}", "another Python"
            continue
        group = "tools" if part in runtime.tools else "wheels"
        key = "runtime.web_llm" if part == "web_llm" else f"runtime.{group}.{part}"
        yield (
            f"{key}: {version} does not go with the rest of row {runtime.name!r} "
            f"({allowed.range}: {allowed.reason})",
            f"the nearest row that works: "
            f"runtime={nearest(part, version, with_tools=bool(runtime.tools))}",
        )


def nearest(part: str, version: str, *, with_tools: bool = False) -> str:
    """Return the row whose version of a part is the closest; the newest of equals.

    Args:
        part: ``web_llm``, a wheel or a tool.
        version: The one that is wanted.
        with_tools: Whether the row's compiler is tools of the user's, or the row's wheels.
    """
    found = {name: row for name, row in rows().items() if bool(row.tools) == with_tools}
    wanted = _number(version)

    def distance(name: str) -> tuple[int, int]:
        row = found[name]
        offered = {**row.wheels, **row.tools, "web_llm": row.web_llm}.get(part, "0")
        return abs(_number(offered) - wanted), -_number(row.web_llm)

    return min(found, key=distance)


def is_in(version: str, allowed: str) -> bool:
    """Tell whether a version is in a range of pip's version specifiers; no version is in none.

    Raises:
        ConfigError: The range is none.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(allowed).contains(version, prereleases=True)
    except InvalidVersion:
        return False
    except InvalidSpecifier as exc:
        raise ConfigError(
            f"runtime.allowed: {allowed!r} is no range of versions", hint="such as '>=3.10,<3.14'"
        ) from exc


def machine() -> dict[str, str]:
    """Return what the lock says of the machine: versions and kind, no names."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "vector_unit": vector_unit(),
    }


def vector_unit() -> str:
    """Return the widest vector unit of the processor, ``unknown`` where the system hides it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "unknown"
    lines = (line for line in text.splitlines() if line.startswith(("flags", "Features")))
    flags = next(lines, "").partition(":")[2].split()
    return next((unit for unit in VECTOR_UNITS if unit in flags), "unknown")


def _number(version: str) -> int:
    """Return a release as one number, so that distances can be compared; 0 for what is none."""
    from packaging.version import InvalidVersion, Version

    try:
        release = Version(version).release
    except InvalidVersion:
        return 0
    return sum(part * 1000 ** (2 - place) for place, part in enumerate(release[:3]))
