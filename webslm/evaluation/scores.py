"""Own the scores of one answer beside its reference; chrF is computed by sacrebleu."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from webslm.evaluation.general import known
from webslm.rows.dataset import normal
from webslm.rows.picks import rouge_l

RIGHT = 0.8
"""ROUGE-L from which an answer counts as the reference's: other answers of a set share less."""
RUN = 4
"""Words of a run that counts as repeated."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """One answer of one model."""

    question: str
    reference: str
    answer: str
    stopped: bool
    expected: tuple[str, ...] = ()
    """Words of which a right answer holds one; empty: none is looked for."""


def scores(said: Said, signatures: Mapping[str, Callable[[str], bool]]) -> dict[str, float]:
    """Return every score of an answer; shares are 0 or 1 here, chrF lies between 0 and 100.

    ``signature`` is left out where there is no rule, ``known`` where no word is expected.
    """
    overlap = rouge_l(said.answer, said.reference)
    found = {
        "exact": float(normal(said.answer) == normal(said.reference)),
        "right": float(overlap >= RIGHT),
        "rouge_l": overlap,
        "chrf": chrf(said.answer, said.reference),
        "stop_rate": float(said.stopped),
        "repetition": repetition(said.answer),
        "drift": float(drifts(said)),
        "words": float(len(said.answer.split())),
    }
    if signatures:
        found["signature"] = float(all(has(said.answer) for has in signatures.values()))
    if said.expected:
        found["known"] = float(known(said.answer, said.expected))
    return found


def chrf(answer: str, reference: str) -> float:
    """Return the chrF of two texts (Popovic 2015; sacrebleu's defaults), 0 to 100."""
    from sacrebleu.metrics import CHRF

    return float(CHRF().sentence_score(answer, [reference]).score)


def repetition(text: str) -> float:
    """Return the share of runs of four words that stood in the text before: a loop nears 1."""
    words = text.split()
    runs = [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def drifts(said: Said) -> bool:
    """Return whether an answer has letters of a script in neither question nor reference."""
    return bool(scripts(said.answer) - scripts(said.question) - scripts(said.reference))


def scripts(text: str) -> set[str]:
    """Return the scripts of a text's letters, as the first word of their Unicode names."""
    return {unicodedata.name(char, "?").split()[0] for char in text if char.isalpha()}
