"""Own further training rows made of given ones: the same answers to thinned-out questions.

A small model that sees one wording of a question learns its letters by heart; one that sees it
with words missing has to find the answer by the words that remain.
"""

from __future__ import annotations

import math
import random
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from webslm.rows.roles import Messages
from webslm.schema import AugmentConf

_NUMBER = re.compile(r"\d")
MOST = 0.9
"""Highest chance of a word to be left out: also the most frequent one is seen at times."""


def augmented(rows: Sequence[Messages], conf: AugmentConf, seed: int) -> list[Messages]:
    """Return ``conf.copies`` further rows of each row, those of one row side by side.

    Words are what stands between spaces: a question in a script without them stays whole. Seed and
    rows alone decide the outcome.

    Args:
        rows: Training rows; they stay as they are.
        conf: How many copies, and how far from the row they are.
        seed: Of the choices.
    """
    rng = random.Random(seed)  # noqa: S311  nobody must not guess it
    chances = deletion_chances(
        [message["content"] for row in rows for message in row if message["role"] == "user"],
        conf.deletion,
    )
    return [_copy(row, conf, rng, chances) for row in rows for _ in range(conf.copies)]


def deletion_chances(questions: Sequence[str], mean: float) -> Callable[[str], list[float]]:
    """Return a function that gives every word of a question its chance of being left out.

    The rarest word of a question is always kept, and so is a number: a sum would be another one
    without it. Any other word is left out the likelier the more
    questions hold it: p_i = mean * (C - idf_i) / Z with C the highest idf of the question and Z
    the mean of C - idf_i, at most ``MOST`` (as TF-IDF word replacement in Xie et al. 2020,
    arXiv:1904.12848, chooses its words; term frequencies in a question count as one).

    Args:
        questions: All questions, for the document frequencies.
        mean: Mean chance of a question's words, 0 to 1.
    """
    seen = Counter(word for text in questions for word in set(map(_plain, text.split())))
    idf: Mapping[str, float] = {word: math.log(len(questions) / n) for word, n in seen.items()}

    def chances(question: str) -> list[float]:
        words = question.split()
        rarity = [idf[_plain(word)] for word in words]
        gaps = [
            0.0 if _NUMBER.search(word) else max(rarity) - value
            for word, value in zip(words, rarity, strict=True)
        ]
        scale = sum(gaps) / len(gaps)
        return [min(MOST, mean * gap / scale) if scale else 0.0 for gap in gaps]

    return chances


def _copy(
    row: Messages, conf: AugmentConf, rng: random.Random, chances: Callable[[str], list[float]]
) -> Messages:
    return [
        {**message, "content": _thinned(message["content"], conf, rng, chances)}
        if message["role"] == "user"
        else message
        for message in row
    ]


def _thinned(
    question: str, conf: AugmentConf, rng: random.Random, chances: Callable[[str], list[float]]
) -> str:
    words = zip(question.split(), chances(question), strict=True)
    text = " ".join(word for word, chance in words if rng.random() >= chance)
    if rng.random() < conf.lowercase:
        text = text.lower().rstrip("?!.")
    return text


def _plain(word: str) -> str:
    return word.strip(string.punctuation).casefold()
