"""Own what to type for columns, as a shell and Hydra's grammar take it."""

from __future__ import annotations

import re
import shlex

_PLAIN = re.compile(r"[A-Za-z_][\w ]*\w|[A-Za-z_]", re.ASCII)
_WORDS = ("null", "true", "false", "nan", "inf")
"""What Hydra's grammar reads as a value of its own."""


def columns_hint(question: str = "A", answer: str = "B") -> str:
    """Return what to type for the columns of a question and an answer."""
    names = f"{{question: {_named(question)}, answer: {_named(answer)}}}"
    return shlex.quote(f"data.columns={names}")


def messages_hint(column: str) -> str:
    """Return what to type for the column of a list of turns."""
    return shlex.quote(f"data.columns.messages={_named(column)}")


def _named(column: str) -> str:
    """Return a column's name as Hydra's grammar takes it."""
    if _PLAIN.fullmatch(column) and column.lower() not in _WORDS:
        return column
    quoted = column.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"


SHAPES_HINT = (
    'a row is {"messages": [{"role": ..., "content": ...}]}; ShareGPT ("conversations"), Alpaca '
    f'("instruction", "output") and {columns_hint()} are read too'
)
