"""Own near-duplicates: pairs of texts that share most of their shingles.

MinHash with locality-sensitive hashing (Broder 1997) finds candidates; each is then decided by
the exact Jaccard similarity, so that a chance collision is never reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from webslm.rows.dataset import Row, normal

NUM_PERM = 128
SEED = 1
CHARS = 5
WORDS = 3
MIN_WORDS = 6
"""Answers shorter than this are alike by nature."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two rows that are nearly the same."""

    row: Row
    other: Row
    part: str
    """question or answer."""
    similarity: float
    """Jaccard similarity of their shingles, 0 to 1."""


def near_duplicates(
    rows: Sequence[Row], others: Sequence[Row] | None = None, *, threshold: float
) -> list[Pair]:
    """Return pairs whose questions or answers are alike, the most alike first.

    Rows of one set with the very same answers are a question and its rephrasing, not alike.

    Args:
        rows: Rows to look at.
        others: Rows to compare them with; None: the rows before each.
        threshold: Lowest Jaccard similarity that counts.
    """
    pairs: dict[tuple[int, int], Pair] = {}
    for part, shingles in (("question", _question), ("answer", _answer)):
        seen = first_of_each_answer(rows) if part == "answer" and others is None else rows
        for pair in _alike(seen, others, part, shingles, threshold):
            key = (id(pair.row), id(pair.other))
            if key not in pairs or pairs[key].similarity < pair.similarity:
                pairs[key] = pair
    return sorted(pairs.values(), key=lambda p: (-p.similarity, p.row.line, p.other.line))


def first_of_each_answer(rows: Sequence[Row]) -> list[Row]:
    """Leave out rows that give an earlier row's answers: they ask it in other words on purpose."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        found.setdefault(tuple(map(normal, row.answers)), row)
    return list(found.values())


def _alike(
    rows: Sequence[Row],
    others: Sequence[Row] | None,
    part: str,
    shingles: Callable[[Row], frozenset[str]],
    threshold: float,
) -> list[Pair]:
    from datasketch import MinHash, MinHashLSH

    def sketch(items: frozenset[str]) -> MinHash:
        made = MinHash(num_perm=NUM_PERM, seed=SEED)
        made.update_batch([item.encode() for item in sorted(items)])
        return made

    index = MinHashLSH(num_perm=NUM_PERM, params=_bands(threshold))
    known = [(row, shingles(row)) for row in others or ()]
    for number, (_, items) in enumerate(known):
        if items:
            index.insert(str(number), sketch(items))
    found = []
    for row in rows:
        items = shingles(row)
        if not items:
            continue
        mark = sketch(items)
        for number in sorted(map(int, index.query(mark))):
            other, theirs = known[number]
            similarity = len(items & theirs) / len(items | theirs)
            if similarity >= threshold:
                found.append(Pair(row=row, other=other, part=part, similarity=similarity))
        if others is None:
            index.insert(str(len(known)), mark)
            known.append((row, items))
    return found


@cache
def _bands(threshold: float) -> tuple[int, int]:
    """Return (bands, rows of each) for a threshold; finding them takes longer than a small set."""
    from datasketch import MinHashLSH

    # A candidate too many costs one exact test, a missed one is never seen: bands for recall.
    index = MinHashLSH(threshold=max(0.1, threshold - 0.1), num_perm=NUM_PERM, weights=(0.05, 0.95))
    return index.b, index.r


def _question(row: Row) -> frozenset[str]:
    text = normal(row.questions[0])
    return frozenset(text[at : at + CHARS] for at in range(max(1, len(text) - CHARS + 1)) if text)


def _answer(row: Row) -> frozenset[str]:
    words = normal(" ".join(row.answers)).split()
    if len(words) < MIN_WORDS:
        return frozenset()
    return frozenset(" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1))
