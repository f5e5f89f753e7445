"""Own the version matrix: what is installed, and whether it is what the row pins."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata

from webslm.errors import EnvironmentMismatch


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
    pins = " ".join(f"'{name}=={wheels[name]}'" for name in wrong)
    raise EnvironmentMismatch(
        f"matrix row {row!r}: {told}", hint=f"{sys.executable} -m pip install {pins}"
    )


def machine() -> dict[str, str]:
    """Return what the lock says of the machine: versions and kind, no names."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
    }
