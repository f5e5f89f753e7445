"""What the mathematics starter set asks, worked out by Python: question to numbers of its answer.

Written from the questions alone, so that a slip in a worked step cannot hide in both places. No
numbers means that the answer must say that there is none.
"""

from __future__ import annotations

from tests.starter_sums import (
    algebra,
    arithmetic,
    figures,
    first,
    held_out,
    life,
    shares,
    talks,
)
from tests.starter_sums.tools import Numbers

PARTS = (first, arithmetic, shares, algebra, figures, life, talks, held_out)
SUMS: dict[str, Numbers] = {
    question: numbers for part in PARTS for question, numbers in part.SUMS.items()
}
