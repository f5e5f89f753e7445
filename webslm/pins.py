"""Own which release of a wheel a row means on this Python: the usual one may need a newer."""

from __future__ import annotations

import platform
from dataclasses import replace

from webslm.matrix import is_in, rows
from webslm.schema import RuntimeConf


def for_python(row: RuntimeConf, python: str | None = None) -> RuntimeConf:
    """Return a row with its ``python_wheels`` for a Python in place of its usual pins.

    Args:
        row: A composed row; pins that a user set by ``runtime.wheels`` stay.
        python: A version; None is this Python's.

    Raises:
        ConfigError: A range of ``python_wheels`` is none.
    """
    version = python or platform.python_version()
    pins: dict[str, str] = {}
    for allowed, wheels in row.python_wheels.items():
        if is_in(version, allowed):
            pins.update(wheels)
    if not pins:
        return row
    known = rows().get(row.name)
    usual = row.wheels if known is None else known.wheels
    meant = {
        name: pins[name] if name in pins and pin == usual.get(name) else pin
        for name, pin in row.wheels.items()
    }
    return replace(row, wheels=meant)
