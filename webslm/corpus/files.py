"""Own the files that records come in: JSON lines, JSON, CSV, TSV, Parquet, or a folder of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from webslm.corpus import containers
from webslm.corpus.keys import BadRow, listed
from webslm.encoding import BOM, decoded, first_line, lines, printable, shown
from webslm.errors import ConfigError

Record = tuple[int, Any]
"""Line (or number of the record, from 1) and its value; a ``BadRow`` where it has none."""
MAX_FIELD = 1 << 24
"""Longest field of a CSV file, in characters; Python's own limit is 131 072."""
FIELDS_HINT = "quote a field that holds the separator or a line break"


def data_files(path: Path) -> list[Path]:
    """Return the file itself, or a folder's own files of a known kind, by name.

    Raises:
        ConfigError: There is none, one is a link out of the folder, or one is packed in a way that
            is not read.
    """
    if not path.is_dir():
        return [path]
    listed = sorted(file for file in path.iterdir() if not file.is_dir())
    found = [file for file in listed if _is_data(file.name)]
    if not found:
        kinds = ", ".join(READERS)
        raise ConfigError(
            f"{printable(path)}: a folder without data files", hint=f"it may hold {kinds}"
        )
    root = path.resolve()
    for file in found:
        if not file.resolve().is_relative_to(root):
            raise ConfigError(
                f"{printable(file)}: a link that leads out of the folder",
                hint="put the file itself there",
            )
    return found


def left_files(path: Path) -> list[str]:
    """Return the names of a folder's files that are not read, but for hidden ones."""
    if not path.is_dir():
        return []
    return sorted(
        printable(file.name)
        for file in path.iterdir()
        if not (file.is_dir() or file.name.startswith(".") or _is_data(file.name))
    )


def read_records(path: Path, key: str = "data.path") -> Iterator[Record]:
    """Yield the records of a file; one without a known suffix is read as JSON lines.

    Args:
        path: The file.
        key: Configuration key that names it, for a message.

    Raises:
        ConfigError: The file as a whole cannot be read.
    """
    told = printable(path)
    try:
        suffix, raw = containers.load(path)
    except FileNotFoundError as exc:
        raise ConfigError(f"{told}: no such file", hint=f"{key}=FILE names a data file") from exc
    except IsADirectoryError as exc:
        raise ConfigError(f"{told}: a folder, not a file", hint="name the file in it") from exc
    except PermissionError as exc:
        raise ConfigError(f"{told}: cannot be read", hint=f"chmod u+r {told}") from exc
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise ConfigError(f"{told}: cannot be read: {why}", hint=f"check {key}") from exc
    yield from READERS.get(suffix, _json)(printable(path.name), raw)


def _is_data(name: str) -> bool:
    endings = [suffix.lower() for suffix in Path(name).suffixes]
    packed = containers.is_packed(name)
    return not name.startswith(".") and bool({*endings[-2 if packed else -1 :]} & {*READERS})


def _json(name: str, raw: bytes) -> Iterator[Record]:
    yield from _json_records(name, decoded(raw, name))


def _json_records(name: str, text: str) -> Iterator[Record]:
    """Read one list of records, or one record a line; what a file is shows, not its name."""
    whole = text.strip()
    first = first_line(whole)
    if whole.startswith("[") and (first == whole or not _is_json(first)):
        repeats: list[_Repeated] = []
        try:
            value = _loaded(whole, repeats)
        except BadRow as exc:
            raise ConfigError(f"{name}: {exc}", hint="one list of records: [{...}]") from exc
        for number, record in enumerate(value, start=1):
            yield number, _repeat(record) if repeats else record
        return
    if first != whole and whole.startswith("{") and not _is_json(first):
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


def _is_json(text: str) -> bool:
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


def _csv(delimiter: str) -> Callable[[str, bytes], Iterator[Record]]:
    def read(name: str, raw: bytes) -> Iterator[Record]:
        csv.field_size_limit(MAX_FIELD)
        text = decoded(raw, name)
        if text.lstrip().startswith("{") and _is_json(first_line(text.lstrip())):
            yield from _json_records(name, text)
            return
        header = next((line for line in lines(text) if line.strip()), "")
        # A comma nowhere in the header: spreadsheets of other languages write semicolons or tabs.
        other = next((mark for mark in (";", "\t", ",") if mark in header), delimiter)
        used = delimiter if delimiter in header else other
        # With newline="" only \n, \r and \r\n end a line, and they stay in quoted fields.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=used, strict=True)
        yield from _table(name, reader)

    return read


def _table(name: str, reader: Any) -> Iterator[Record]:
    names: list[str] | None = None
    start = 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as exc:
            raise ConfigError(
                f"{name}:{start}: not CSV from this line on: {exc}", hint=FIELDS_HINT
            ) from exc
        if fields is None:
            return
        if len(fields) < 2 and not "".join(fields).strip():
            pass  # A blank line is no record.
        elif names is None:
            names = fields
            twice = next((item for item in names if item and names.count(item) > 1), None)
            if twice is not None:
                raise ConfigError(
                    f'{name}:{start}: the column "{printable(twice)}" stands twice',
                    hint="give each column a name of its own",
                )
        elif len(fields) != len(names):
            yield start, BadRow("has another number of fields than the header", FIELDS_HINT)
        else:
            yield start, dict(zip(names, fields, strict=True))
        start = reader.line_num + 1


def _parquet(name: str, raw: bytes) -> Iterator[Record]:
    from pyarrow import ArrowException, BufferReader, parquet

    try:
        table = parquet.ParquetFile(BufferReader(raw))
        number = 0
        for batch in table.iter_batches():
            for record in batch.to_pylist():
                number += 1
                yield number, record
    except (ArrowException, OSError, ValueError, OverflowError) as exc:
        first = printable(lines(str(exc))[0])
        raise ConfigError(f"{name}: not Parquet: {first}", hint="fetch or write it again") from exc


READERS: dict[str, Callable[[str, bytes], Iterator[Record]]] = {
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
    ".parquet": _parquet,
}
