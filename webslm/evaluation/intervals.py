"""Own confidence intervals: the percentile bootstrap over rows (Efron 1979)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DIGITS = 4


def rounded(value: float) -> float:
    """Return a number of four digits after the point; a zero has no sign."""
    return round(float(value), DIGITS) + 0.0


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How often rows are drawn again, with which seed, for which confidence."""

    resamples: int
    confidence: float
    seed: int

    def ratio(self, tops: Sequence[float], bottoms: Sequence[float]) -> dict[str, float]:
        """Return the ratio of two sums over rows with its interval.

        Rows with the same index are drawn together, so that differences of two models over the
        same rows are paired.

        Args:
            tops: Per row what is summed above.
            bottoms: Per row what is summed below, such as its tokens; above 0 in all.
        """
        import numpy as np

        top, bottom = np.asarray(tops, dtype=float), np.asarray(bottoms, dtype=float)
        drawn = self._draws(len(top))
        values = top[drawn].sum(-1) / np.maximum(bottom[drawn].sum(-1), 1e-12)
        tail = 100 * (1 - self.confidence) / 2
        low, high = np.percentile(values, [tail, 100 - tail])
        return {
            "value": rounded(top.sum() / bottom.sum()),
            "low": rounded(low),
            "high": rounded(high),
        }

    def mean(self, values: Sequence[float]) -> dict[str, float]:
        """Return the mean over rows with its interval."""
        return self.ratio(values, [1.0] * len(values))

    def _draws(self, count: int) -> Any:
        import numpy as np

        generator = np.random.default_rng(self.seed)
        return generator.integers(0, count, size=(self.resamples, count))
