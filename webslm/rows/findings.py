"""Own what a finding is, and the findings on how rows were read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from webslm.rows.source import PARAPHRASES_HELD_OUT, Split
from webslm.schema import DataConf

SHOWN = 5
"""Examples of a finding."""
LEFT_OUT_HINTS = {PARAPHRASES_HELD_OUT: "data.held_out_path=FILE trains every row of data.path"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something a person should look at before training."""

    kind: str
    text: str
    hint: str
    examples: list[str] = field(default_factory=list)


def reading(split: Split, data: DataConf) -> Iterator[Finding]:
    """Yield what reading left out, replaced and did not look at, and that nothing is held out."""
    changes = split.changes
    for reason, count in sorted(changes.left_out.items()):
        yield Finding(
            kind="left_out",
            text=f"{_rows(count)} left out: {reason}",
            hint=LEFT_OUT_HINTS.get(reason, "data.skip_bad=false ends the build at them"),
            examples=changes.examples[reason],
        )
    if changes.unread:
        yield Finding(
            kind="keys_not_read",
            text=changes.told(),
            hint="what such a key says is not learnt: write it into the texts, or leave it out",
        )
    if changes.files:
        yield Finding(
            kind="files_not_read",
            text=f"not read of the folder: {', '.join(changes.files[:SHOWN])}"
            + (f" and {len(changes.files) - SHOWN} more" if len(changes.files) > SHOWN else ""),
            hint="it may hold JSON lines, JSON, CSV, TSV and Parquet, also with gzip, bzip2 or xz",
        )
    if changes.system["replaced"]:
        yield Finding(
            kind="system_replaced",
            text=f"data.system took the place of {changes.system['replaced']} other system prompts",
            hint="data.system=null keeps them (all rows must then have the same)",
        )
    if not split.held_out:
        yield Finding(
            kind="no_held_out",
            text="no row is held out: nothing can tell learning from reciting",
            hint=_held_out_hint(split, data),
        )


def _held_out_hint(split: Split, data: DataConf) -> str:
    """Return what gives held-out rows: never what is set already."""
    wanted = int(len(split.train) * data.held_out_fraction)
    if wanted:
        return (
            "data.held_out_path=FILE, or word differently the questions that rows share: a row "
            "stays with those that ask what it asks"
        )
    if len(split.train) < 2:
        return "data.held_out_path=FILE, or more rows"
    if data.held_out_fraction > 0:
        least = math.ceil(100 / len(split.train)) / 100
        return f"data.held_out_fraction={least:g} or data.held_out_path=FILE"
    return "data.held_out_fraction=0.1 or data.held_out_path=FILE"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
