"""Own which release of a wheel a row means on this Python: the usual one may need a newer."""

from __future__ import annotations

import platform
from dataclasses import replace

from webslm.engine.machine.matrix import is_in, rows
from webslm.schema import RuntimeConf


def for_python(row: RuntimeConf, python: str | None = None) -> RuntimeConf:
    """Return a row with the pins of an older Python, on such a one, in place of its usual pins.

    Args:
        row: A composed row; pins that a user set by ``runtime.wheels`` stay.
        python: A version; None is this Python's.

    Raises:
        ConfigError: ``runtime.older.python`` is no range of versions.
    """
    older = row.older
    if older.python is None or not is_in(python or platform.python_version(), older.python):
        return row
    pins = older.wheels
    known = rows().get(row.name)
    usual = row.wheels if known is None else known.wheels
    meant = {
        name: pins[name] if name in pins and pin == usual.get(name) else pin
        for name, pin in row.wheels.items()
    }
    return replace(row, wheels=meant)
