"""Own the scores that gates are made of: ROUGE-L, greedy and forced agreement. Do no I/O.

ROUGE-L is written out here: it is one longest common subsequence, and the usual package for it
brings a tokenizer data set and three more packages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\w+")


def rouge_l(candidate: str, reference: str) -> float:
    """Return the ROUGE-L F1 of two texts: 0 without a common word, 1 for the same words.

    Words are runs of letters, digits and underscores, compared without regard to case.
    """
    said, wanted = (_WORD.findall(text.casefold()) for text in (candidate, reference))
    common = common_length(said, wanted)
    return 0.0 if common == 0 else 2 * common / (len(said) + len(wanted))


def common_length(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(right) + 1)
    for word in left:
        diagonal = 0
        for index, other in enumerate(right, 1):
            above = row[index]
            row[index] = diagonal + 1 if word == other else max(above, row[index - 1])
            diagonal = above
    return row[-1]


@dataclass(frozen=True, kw_only=True)
class GreedyComparison:
    """How far one greedy run follows another."""

    compared: int
    """Positions looked at."""
    first_difference: int | None
    tie: bool
    """Whether the reference hardly preferred its own token at the first difference."""

    @property
    def agrees(self) -> bool:
        """Return whether the runs are the same, or part at a tie."""
        return self.first_difference is None or self.tie


def compare_greedy(
    seen: Sequence[int],
    reference: Sequence[int],
    gaps: Sequence[float],
    *,
    num_tokens: int,
    tie_gap: float,
) -> GreedyComparison:
    """Compare greedy tokens with a reference's.

    Args:
        seen: The browser's tokens, with the stop token if it stopped.
        reference: The reference's tokens, likewise.
        gaps: Best minus second-best logit of the reference, for each of its tokens.
        num_tokens: How many tokens to compare at most.
        tie_gap: Below this gap a difference is a tie.
    """
    seen, reference = seen[:num_tokens], reference[:num_tokens]
    pairs = zip(seen, reference, strict=False)
    first = next((i for i, (left, right) in enumerate(pairs) if left != right), None)
    if first is None and len(seen) != len(reference):
        first = min(len(seen), len(reference))
    tie = first is not None and first < len(reference) and gaps[first] < tie_gap
    return GreedyComparison(
        compared=max(len(seen), len(reference)), first_difference=first, tie=tie
    )


def top1_agreement(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> float:
    """Return the share of positions with the same best token, over all (seen, reference) runs.

    Raises:
        ValueError: There is no position, or a run and its reference differ in length.
    """
    same = [
        left == right
        for seen, reference in pairs
        for left, right in zip(seen, reference, strict=True)
    ]
    if not same:
        raise ValueError("no positions to compare")
    return sum(same) / len(same)


def evenly_spaced(length: int, count: int) -> list[int]:
    """Return up to ``count`` different indices spread over ``range(length)``."""
    count = min(length, count)
    return [index * length // count for index in range(count)]
