"""Own the files that records come in: JSON lines, JSON, CSV, TSV, Parquet, or a folder of them."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from webslm.basics.encoding import decoded, first_line, lines, printable
from webslm.basics.errors import ConfigError
from webslm.rows import containers
from webslm.rows.json_records import Record, is_json, json_records
from webslm.rows.keys import BadRow

MAX_FIELD = 1 << 24
"""Longest field of a CSV file, in characters; Python's own limit is 131 072."""
FIELDS_HINT = "quote a field that holds the separator or a line break"


def data_files(path: Path) -> list[Path]:
    """Return the file itself, or a folder's own files of a known kind, by name.

    Raises:
        ConfigError: There is none, one is a link out of the folder, or one is packed in a way that
            is not read.
    """
    try:
        if not path.is_dir():
            return [path]
        listed = sorted(file for file in path.iterdir() if not file.is_dir())
    except OSError as exc:
        raise ConfigError(
            f"{printable(path)}: cannot be read: {exc.strerror}", hint="name a file or a folder"
        ) from exc
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
        raise ConfigError(
            f"{told}: cannot be read", hint=f"chmod u+r {shlex.quote(str(path))}"
        ) from exc
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise ConfigError(f"{told}: cannot be read: {why}", hint=f"check {key}") from exc
    yield from READERS.get(suffix, _json)(printable(path.name), raw)


def _is_data(name: str) -> bool:
    endings = [suffix.lower() for suffix in Path(name).suffixes]
    packed = containers.is_packed(name)
    return not name.startswith(".") and bool({*endings[-2 if packed else -1 :]} & {*READERS})


def _json(name: str, raw: bytes) -> Iterator[Record]:
    yield from json_records(name, decoded(raw, name))


def _csv(delimiter: str) -> Callable[[str, bytes], Iterator[Record]]:
    def read(name: str, raw: bytes) -> Iterator[Record]:
        csv.field_size_limit(MAX_FIELD)
        text = decoded(raw, name)
        if text.lstrip().startswith("{") and is_json(first_line(text.lstrip())):
            yield from json_records(name, text)
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
            names = [field.strip() for field in fields]
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
