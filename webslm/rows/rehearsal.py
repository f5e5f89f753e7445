"""Own the rows that a fine-tune goes over again so that the base keeps what it knew.

Rehearsal (Robins, 1995): a little of the old in every epoch of the new. The rows stand under the
system prompt of the data, since that is what the page sends with every question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from webslm.basics.paths import resolve_data
from webslm.rows.changes import Changes
from webslm.rows.dataset import Row, check_rows, normal
from webslm.rows.source import Split, read
from webslm.schema import DataConf


def rehearsal(data: DataConf, split: Split) -> tuple[list[Row], int]:
    """Return the rows of ``data.rehearsal_path``, and how many of its rows were left out.

    A row whose question the data already asks, to learn or to measure by, is left out.

    Raises:
        ConfigError: A row is wrong, or rows repeat each other.
    """
    if data.rehearsal_path is None:
        return [], 0
    file = resolve_data(data.rehearsal_path)
    own = replace(data, columns={}, system=split.train[0].system, skip_bad=False)
    rows = read(file, own, Changes(), "data.rehearsal_path")
    check_rows(rows, file.name)
    asked = _questions([*split.train, *split.held_out, *split.paraphrases])
    kept = [row for row in rows if not asked & _questions([row])]
    return kept, len(rows) - len(kept)


def _questions(rows: Sequence[Row]) -> set[str]:
    return {normal(question) for row in rows for question in row.questions}
