"""Own the way from ``data.path`` to checked (train, held-out) rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from webslm.basics.encoding import printable
from webslm.basics.errors import ConfigError, Problem
from webslm.basics.paths import resolve_data
from webslm.rows.changes import Changes
from webslm.rows.dataset import (
    SKIP_HINT,
    Row,
    check_leakage,
    check_one_system,
    check_rows,
    leaked,
    repeated,
    split_rows,
    told,
)
from webslm.rows.files import data_files, left_files, read_records
from webslm.rows.keys import BadRow
from webslm.rows.paraphrases import check_paraphrases, trained
from webslm.rows.shapes import to_conversation, with_system
from webslm.schema import DataConf

PARAPHRASES_HELD_OUT = "puts a held-out question in other words"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Checked rows."""

    train: list[Row]
    held_out: list[Row]
    changes: Changes
    paraphrases: list[Row] = field(default_factory=list)
    """Training questions in other words, each with its answer."""

    def account(self) -> dict[str, int]:
        """Return how many records were read, and what became of them."""
        return {
            "read": self.changes.read,
            "learnt": len(self.train),
            "held_out": len(self.held_out),
            "asked": len(self.paraphrases),
            "left_out": self.changes.left_out.total(),
        }

    def is_whole(self) -> bool:
        """Return whether every record that was read is learnt, held out, asked or left out."""
        kept = len(self.train) + len(self.held_out) + len(self.paraphrases)
        return self.changes.read == kept + self.changes.left_out.total()


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
    check_rows(rows, printable(path.name))
    if data.held_out_path is None:
        train, held_out = split_rows(rows, fraction=data.held_out_fraction, seed=data.seed)
    else:
        held_out = _never_trained(data.held_out_path, "data.held_out_path", rows, data, changes)
        train = rows
    paraphrases = []
    if data.paraphrases_path is not None:
        key = "data.paraphrases_path"
        paraphrases = _never_trained(data.paraphrases_path, key, rows, data, changes)
        paraphrases = _asked(paraphrases, rows, train, data.paraphrases_path, changes)
    split = Split(train=train, held_out=held_out, paraphrases=paraphrases, changes=changes)
    assert split.is_whole(), "a row is neither learnt, held out, asked nor left out"
    return split


def _asked(
    rows: list[Row], all_rows: Sequence[Row], train: Sequence[Row], path: str, changes: Changes
) -> list[Row]:
    """Return the paraphrases of trained rows; those of rows that were held out are left out."""
    label = printable(resolve_data(path).name)
    check_paraphrases(all_rows, rows, label)
    kept = trained(train, rows)
    ids = set(map(id, kept))
    for row in rows:
        if id(row) not in ids:
            told_as = f"{row.where(label)}: {PARAPHRASES_HELD_OUT}"
            changes.leave_out(PARAPHRASES_HELD_OUT, told_as)
    return kept


def _never_trained(
    path: str, key: str, train: Sequence[Row], data: DataConf, changes: Changes
) -> list[Row]:
    """Return the rows of a file whose questions are only asked."""
    file = resolve_data(path)
    label = printable(file.name)
    rows = read(file, data, changes, key)
    if data.skip_bad:
        rows = _without_leaks(train, _without_repeats(rows, changes, label), changes, label)
    if not rows:
        raise ConfigError(
            f"{label}: no row is left: each asks a trained question",
            hint=f"{key}=FILE with questions of its own",
        )
    check_rows(rows, label)
    check_one_system([train[0], *rows], label)
    check_leakage(train, rows, label)
    return rows


def read(path: Path, data: DataConf, changes: Changes, key: str = "data.path") -> list[Row]:
    """Return the rows of a file or folder; bad ones end it, or are counted and left out.

    Args:
        path: The file or folder.
        data: The rules.
        changes: Gets every record counted.
        key: Configuration key that names the path, for a message.

    Raises:
        ConfigError: Holds one problem per bad row, each with file, line and what to do.
    """
    files = data_files(path)
    rows: list[Row] = []
    problems: list[Problem] = []
    for file in files:
        name = printable(file.name)
        for line, record in read_records(file, key):
            changes.read += 1
            try:
                rows.append(_row(line, record, data, changes, name if len(files) > 1 else ""))
            except BadRow as exc:
                problems.append((f"{name}:{line}: {exc}", exc.hint))
    changes.files += left_files(path)
    if data.skip_bad and rows:
        for wrong, _ in problems:
            changes.leave_out("a mistake in the row", wrong)
        problems = []
    if not rows and not problems:
        problems.append(
            (f"{printable(path.name)}: no rows", "write one conversation a line, see the README")
        )
    if problems:
        raise told(problems, printable(path.name), SKIP_HINT if rows else None)
    return rows


def _row(line: int, record: object, data: DataConf, changes: Changes, file: str) -> Row:
    if isinstance(record, BadRow):
        raise record
    found = to_conversation(record, data.columns)
    turns, change = with_system(found.turns, data.system)
    changes.shapes[found.shape] += 1
    changes.notice(found.seen)
    if change is not None:
        changes.system[change] += 1
    unlearnt = frozenset(at for at, turn in enumerate(turns) if not turn.learnt)
    unlearnt = frozenset(at for at in unlearnt if turns[at].role == "assistant")
    changes.unlearnt += len(unlearnt)
    return Row(line, tuple(turn.message for turn in turns), file, unlearnt)


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
            other = again[id(row)].where("line")
            changes.leave_out(reason, f"{row.where(label)}: {reason} ({other})")
    return [row for row in rows if id(row) not in again]
