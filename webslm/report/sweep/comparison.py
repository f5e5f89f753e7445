"""Own how finished jobs compare: the columns of a sweep's table, and the best by each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webslm.report.sweep.record import Record

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of the comparison."""

    key: str
    label: str
    higher_is_better: bool
    unit: str = ""
    scale: float = 1.0

    def of(self, record: Record) -> float | None:
        """Return the record's value in the column's unit, or None."""
        value = record.measures.get(self.key)
        return None if value is None else value * self.scale


SIZE = Measure(
    key="convert.bytes", label="weights", higher_is_better=False, unit="MiB", scale=1 / MIB
)
QUALITY = (
    Measure(key="verify.rouge_l", label="ROUGE-L of trained answers", higher_is_better=True),
    Measure(
        key="verify.forced_top1_agreement.merged",
        label="top-1 as unquantized",
        higher_is_better=True,
        unit="%",
        scale=100,
    ),
    Measure(
        key="convert.worst_rms_relative_error",
        label="worst tensor error",
        higher_is_better=False,
        unit="%",
        scale=100,
    ),
    Measure(key="finetune.last_loss", label="last training loss", higher_is_better=False),
)
SPEED = Measure(
    key="verify.decode_tok_s", label="speed in the proof", higher_is_better=True, unit="tokens/s"
)


def columns(records: Sequence[Record], metric: str | None) -> list[Measure]:
    """Return the measures that some job has, the sweep's own metric first."""
    known = [SIZE, *QUALITY, SPEED]
    if metric is not None and metric not in [each.key for each in known]:
        known.insert(0, Measure(key=metric, label=metric, higher_is_better=True))
    return [each for each in known if any(each.of(record) is not None for record in records)]


def picks(records: Sequence[Record], metric: str | None) -> list[dict[str, Any]]:
    """Return the best finished job by every measure; of equals the smallest, then the first."""
    good = [record for record in records if record.ok]
    found = []
    for each in columns(good, metric):
        # Which way the sweep's own metric improves is the sweeper's business.
        if each.key == metric and each.label == metric:
            continue
        having = [record for record in good if each.of(record) is not None]
        best = min(having, key=lambda record: (_rank(each, record), _rank(SIZE, record)))
        found.append(
            {"by": each.label, "name": best.name, "value": each.of(best), "unit": each.unit}
        )
    return found


def _rank(each: Measure, record: Record) -> float:
    value = each.of(record)
    if value is None:
        return float("inf")
    return -value if each.higher_is_better else value


def axis(each: Measure) -> str:
    """Return a column's label with its unit."""
    return f"{each.label} ({each.unit})" if each.unit else each.label


def text(value: float | None) -> str:
    """Return a number as a reader wants it."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
