"""Own the files that records come in: JSONL, JSON, CSV, TSV, Parquet, or a folder of them."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from webslm.dataset import BadRow, parse_line
from webslm.errors import ConfigError

Record = tuple[int, Any]
"""Line (or number of the record, from 1) and its value; a ``BadRow`` where it has none."""
MAX_FIELD = 1 << 24
"""Longest field of a CSV file, in characters; Python's own limit is 131 072."""


def data_files(path: Path) -> list[Path]:
    """Return the file itself, or a folder's own files of a known kind, by name.

    Raises:
        ConfigError: There is none, or one is a link out of the folder.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in READERS)
    if not found:
        kinds = ", ".join(READERS)
        raise ConfigError(f"{path}: a folder without data files", hint=f"it may hold {kinds}")
    root = path.resolve()
    for file in found:
        if not file.resolve().is_relative_to(root):
            raise ConfigError(
                f"{file}: a link that leads out of the folder", hint="put the file itself there"
            )
    return found


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file; one without a known suffix is read as JSONL.

    Raises:
        ConfigError: The file as a whole cannot be read.
    """
    try:
        yield from READERS.get(path.suffix.lower(), _jsonl)(path)
    except FileNotFoundError as exc:
        raise ConfigError(
            f"{path}: no such file", hint="data.path=FILE names a chat JSONL file"
        ) from exc
    except PermissionError as exc:
        raise ConfigError(
            f"{path}: cannot be read", hint=f"chmod u+r {shlex.quote(str(path))}"
        ) from exc


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise ConfigError(
            f"{path.name}:{line}: not UTF-8 text", hint="save the file as UTF-8"
        ) from exc


def _jsonl(path: Path) -> Iterator[Record]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, parse_line(line)
        except BadRow as exc:
            yield number, exc


def _json(path: Path) -> Iterator[Record]:
    try:
        value = json.loads(_text(path))
    except (ValueError, RecursionError) as exc:
        raise ConfigError(
            f"{path.name}: not JSON: {exc}", hint="one list of records, or a .jsonl file"
        ) from exc
    if not isinstance(value, list):
        raise ConfigError(f"{path.name}: not a list of records", hint="[{...}, {...}]")
    yield from enumerate(value, start=1)


def _csv(delimiter: str) -> Callable[[Path], Iterator[Record]]:
    def read(path: Path) -> Iterator[Record]:
        csv.field_size_limit(MAX_FIELD)
        reader = csv.DictReader(_text(path).splitlines(keepends=True), delimiter=delimiter)
        try:
            for record in reader:
                if None in record or None in record.values():
                    yield (
                        reader.line_num,
                        BadRow(
                            "has another number of fields than the header",
                            "quote a field that holds the separator or a line break",
                        ),
                    )
                else:
                    yield reader.line_num, dict(record)
        except csv.Error as exc:
            raise ConfigError(
                f"{path.name}:{reader.line_num}: not CSV: {exc}", hint="save it as CSV again"
            ) from exc

    return read


def _parquet(path: Path) -> Iterator[Record]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.ParquetFile(path)
        number = 0
        for batch in table.iter_batches():
            for record in batch.to_pylist():
                number += 1
                yield number, record
    except ArrowException as exc:
        first = str(exc).splitlines()[0]
        raise ConfigError(f"{path.name}: not Parquet: {first}", hint="write it again") from exc


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
    ".parquet": _parquet,
}
