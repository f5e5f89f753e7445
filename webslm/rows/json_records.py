"""Own records written as JSON: one list of them, or one a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from webslm.basics.encoding import BOM, first_line, lines, shown
from webslm.basics.errors import ConfigError
from webslm.rows.keys import BadRow, listed

Record = tuple[int, Any]
"""Line (or number of the record, from 1) and its value; a ``BadRow`` where it has none."""


def json_records(name: str, text: str) -> Iterator[Record]:
    """Yield the records of one list, or one a line; what a file is shows, not its name.

    Raises:
        ConfigError: It is neither.
    """
    whole = text.strip()
    first = first_line(whole)
    if whole.startswith("[") and (first == whole or not is_json(first)):
        repeats: list[_Repeated] = []
        try:
            value = _loaded(whole, repeats)
        except BadRow as exc:
            raise ConfigError(f"{name}: {exc}", hint="one list of records: [{...}]") from exc
        for number, record in enumerate(value, start=1):
            yield number, _repeat(record) if repeats else record
        return
    if first != whole and whole.startswith("{") and not is_json(first):
        _refuse_one_object(name, whole)
    for number, line in enumerate(lines(text), start=1):
        stripped = line.strip().lstrip(BOM)
        if stripped:
            try:
                yield number, _parsed(stripped)
            except BadRow as exc:
                yield number, exc


def _refuse_one_object(name: str, text: str) -> None:
    """Say of a file that is one JSON object over several lines what is in it."""
    try:
        value = _parsed(text)
    except BadRow:
        return
    raise ConfigError(
        f"{name}: one JSON object, not a list of records (keys: {listed(value)})",
        hint="write a list, [{...}, {...}], or one record a line",
    )


def is_json(text: str) -> bool:
    """Return whether a text is one JSON value."""
    try:
        _parsed(text)
    except BadRow:
        return False
    return True


def _parsed(text: str) -> Any:
    """Return the JSON value of a text.

    Raises:
        BadRow: It is no JSON, or says a key twice.
    """
    repeats: list[_Repeated] = []
    value = _loaded(text, repeats)
    if repeats:
        raise repeats[0].mistake
    return value


class _Repeated(dict[str, Any]):
    """A JSON object that says a key twice."""

    mistake: BadRow


def _loaded(text: str, repeats: list[_Repeated]) -> Any:
    """Return the JSON value of a text; objects that say a key twice are added to ``repeats``."""

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        repeats.append(_Repeated(found))
        repeats[-1].mistake = BadRow(f"says the key {shown(twice)} twice", "keep one of them")
        return repeats[-1]

    try:
        return json.loads(text, object_pairs_hook=made)
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column" if exc.lineno > 1 else "column"
        raise BadRow(
            f"not JSON: {exc.msg} at {where} {exc.colno}", "write one JSON object a line"
        ) from exc
    except RecursionError as exc:
        raise BadRow("nested too deep", 'a row is {"messages": [...]}') from exc
    except ValueError as exc:
        # Python reads no integer of more than 4300 digits.
        raise BadRow("not JSON: a number of too many digits", "write it as a text") from exc


def _repeat(value: Any) -> Any:
    """Return the mistake of the first object in a value that says a key twice, else the value."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Repeated):
            return item.mistake
        if isinstance(item, (dict, list)):
            waiting += item.values() if isinstance(item, dict) else item
    return value
