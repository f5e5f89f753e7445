"""Own the table of the survival report: what each step's model scores on each set of questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webslm.evaluation.intervals import DIGITS, Bootstrap
from webslm.evaluation.scores import Said, scores

SETS = ("trained", "paraphrased", "held_out", "general")
TEXT_SCORES = (
    *("exact", "right", "rouge_l", "chrf", "stop_rate", "signature", "repetition", "drift"),
    "words",
)
COMPARED = ("loss", "rouge_l")
"""Scores whose change from the step before is told with an interval of its own."""


@dataclass(frozen=True, kw_only=True)
class Forced:
    """What a model gives to the tokens of one reference answer."""

    loss: float
    """Sum of negative log probabilities, in nats."""
    tokens: int
    same: int | None
    """Tokens of which the step before has the same best one; None: there is no step before."""
    divergence: float | None
    """Sum of KL(step before || this) over the tokens, in nats."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One question put to one step's model."""

    forced: Forced
    said: Said
    asked_in_browser: bool = False
    """Whether the proof puts this question to the browser too."""


Signatures = Mapping[str, Callable[[str], bool]]


def table(
    seen: Mapping[str, Mapping[str, Sequence[Observation]]],
    signatures: Signatures,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return scores with intervals by step and set, and what changed from step to step.

    Args:
        seen: Observations by step, in build order, and by set; equal questions in equal places.
        signatures: Rules that an answer may bear, by name.
        bootstrap: How intervals are made.
    """
    results: dict[str, Any] = {}
    before: Mapping[str, Sequence[Observation]] | None = None
    for step, sets in seen.items():
        results[step] = {
            name: _scored(rows, signatures, bootstrap) for name, rows in sets.items() if rows
        }
        if before is not None:
            for name in results[step]:
                results[step][name]["change"] = _changed(before[name], sets[name], bootstrap)
        asked = [row for row in sets["trained"] if row.asked_in_browser]
        if asked:
            results[step]["asked"] = spoken([row.said for row in asked], signatures, bootstrap)
        before = sets
    return results


def spoken(
    said: Sequence[Said], signatures: Signatures, bootstrap: Bootstrap, *, repeats: int = 1
) -> dict[str, Any]:
    """Return the scores of answers alone: n questions, and each mean with its interval.

    Args:
        said: Answers; with ``repeats``, all questions in order, that many times.
        signatures: Rules that an answer may bear, by name.
        bootstrap: How intervals are made: over questions, as answers to one are not independent.
        repeats: How often each question was asked.
    """
    each = [scores(item, signatures) for item in said]
    count = len(said) // repeats
    return {
        "n": count,
        **{
            key: bootstrap.mean(
                [
                    sum(item[key] for item in each[question::count]) / repeats
                    for question in range(count)
                ]
            )
            for key in TEXT_SCORES
            if key in each[0]
        },
    }


def _scored(
    rows: Sequence[Observation], signatures: Signatures, bootstrap: Bootstrap
) -> dict[str, Any]:
    forced = [row.forced for row in rows]
    tokens = [float(item.tokens) for item in forced]
    loss = bootstrap.ratio([item.loss for item in forced], tokens)
    found: dict[str, Any] = {
        "tokens": int(sum(tokens)),
        "loss": loss,
        "perplexity": {key: round(math.exp(value), DIGITS) for key, value in loss.items()},
    }
    same = [float(item.same) for item in forced if item.same is not None]
    divergence = [item.divergence for item in forced if item.divergence is not None]
    if same:
        found["top1"] = bootstrap.ratio(same, tokens)
        found["kl"] = bootstrap.ratio(divergence, tokens)
    return {**spoken([row.said for row in rows], signatures, bootstrap), **found}


def _changed(
    before: Sequence[Observation], after: Sequence[Observation], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return the paired changes of loss (nats a token) and ROUGE-L."""
    tokens = [float(row.forced.tokens) for row in after]
    losses = [b.forced.loss - a.forced.loss for a, b in zip(before, after, strict=True)]
    rouge = [
        scores(b.said, {})["rouge_l"] - scores(a.said, {})["rouge_l"]
        for a, b in zip(before, after, strict=True)
    ]
    return {"loss": bootstrap.ratio(losses, tokens), "rouge_l": bootstrap.mean(rouge)}
