"""Own the way from ``data.path`` to checked (train, held-out) rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from webslm.corpus.files import data_files, read_records
from webslm.corpus.paraphrases import check_paraphrases, trained
from webslm.corpus.shapes import to_messages, with_system
from webslm.dataset import (
    MAX_REPORTED,
    BadRow,
    Row,
    check_leakage,
    check_one_system,
    check_rows,
    leaked,
    repeated,
    split_rows,
)
from webslm.errors import ConfigError
from webslm.paths import resolve_data
from webslm.schema import DataConf

KEPT_EXAMPLES = 5


@dataclass
class Changes:
    """What reading did to the records: nothing of it happens without being counted."""

    shapes: Counter[str] = field(default_factory=Counter)
    """Records by shape."""
    system: Counter[str] = field(default_factory=Counter)
    """Rows whose system prompt ``data.system`` added or replaced."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows left out by ``data.skip_bad``, by reason."""
    examples: list[str] = field(default_factory=list)
    """The first rows left out, each with its place."""

    def leave_out(self, reason: str, told: str) -> None:
        """Count a row that is not used."""
        self.left_out[reason] += 1
        if len(self.examples) < KEPT_EXAMPLES:
            self.examples.append(told)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Checked rows."""

    train: list[Row]
    held_out: list[Row]
    changes: Changes
    paraphrases: list[Row] = field(default_factory=list)
    """Training questions in other words, each with its answer."""


def load_split(data: DataConf, folder: Path | None = None) -> Split:
    """Return the rows of a configuration.

    Args:
        data: Which rows, and the rules for them.
        folder: Where the files of a hub dataset lie; paths of the configuration are then unused.

    Raises:
        ConfigError: Holds every problem found; cheap enough to be asked before any work starts.
    """
    changes = Changes()
    path = folder or resolve_data(data.path or "")
    rows = read(path, data, changes)
    if data.skip_bad:
        rows = _without_repeats(rows, changes, path.name)
    check_rows(rows, path.name)
    if data.held_out_path is None:
        train, held_out = split_rows(rows, fraction=data.held_out_fraction, seed=data.seed)
    else:
        train, held_out = rows, _never_trained(data.held_out_path, rows, data, changes)
    paraphrases = []
    if data.paraphrases_path is not None:
        paraphrases = _never_trained(data.paraphrases_path, rows, data, changes)
        check_paraphrases(rows, paraphrases, resolve_data(data.paraphrases_path).name)
        paraphrases = trained(train, paraphrases)
    return Split(train=train, held_out=held_out, paraphrases=paraphrases, changes=changes)


def _never_trained(path: str, train: Sequence[Row], data: DataConf, changes: Changes) -> list[Row]:
    """Return the rows of a file whose questions are only asked."""
    file = resolve_data(path)
    rows = read(file, data, changes)
    if data.skip_bad:
        rows = _without_leaks(train, _without_repeats(rows, changes, file.name), changes, file.name)
    check_rows(rows, file.name)
    check_one_system([train[0], *rows], file.name)
    check_leakage(train, rows, file.name)
    return rows


def read(path: Path, data: DataConf, changes: Changes) -> list[Row]:
    """Return the rows of a file or folder; bad ones end it, or are counted and left out.

    Raises:
        ConfigError: Holds one problem per bad row, each with file, line and what to do.
    """
    files = data_files(path)
    rows: list[Row] = []
    problems: list[tuple[str, str | None]] = []
    for file in files:
        name = file.name if len(files) > 1 else ""
        for line, record in read_records(file):
            try:
                rows.append(_row(line, record, data, changes, name))
            except BadRow as exc:
                problems.append((f"{file.name}:{line}: {exc}", exc.hint))
    if data.skip_bad and rows:
        for told, _ in problems:
            changes.leave_out("a mistake in the row", told)
        problems = []
    if not rows and not problems:
        problems.append((f"{path.name}: no rows", "write one conversation a line, see the README"))
    if problems:
        raise ConfigError(problems=tuple(problems[:MAX_REPORTED]))
    return rows


def _row(line: int, record: object, data: DataConf, changes: Changes, file: str) -> Row:
    if isinstance(record, BadRow):
        raise record
    shape, messages = to_messages(record, data.columns)
    messages, change = with_system(messages, data.system)
    changes.shapes[shape] += 1
    if change is not None:
        changes.system[change] += 1
    return Row(line, tuple(messages), file)


def _without_repeats(rows: Sequence[Row], changes: Changes, label: str) -> list[Row]:
    again = {id(row): earlier for row, earlier in repeated(rows)}
    return _without(rows, again, changes, label, "asks what an earlier row asks")


def _without_leaks(
    train: Sequence[Row], held_out: Sequence[Row], changes: Changes, label: str
) -> list[Row]:
    again = {id(row): other for row, other, _ in leaked(train, held_out)}
    return _without(held_out, again, changes, label, "held out, and trained as well")


def _without(
    rows: Sequence[Row], again: Mapping[int, Row], changes: Changes, label: str, reason: str
) -> list[Row]:
    for row in rows:
        if id(row) in again:
            changes.leave_out(reason, f"{row.where(label)}: {reason} (line {again[id(row)].line})")
    return [row for row in rows if id(row) not in again]
