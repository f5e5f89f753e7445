"""Own the table of the survival report: what each step's model scores on each set of questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webslm.evaluation.intervals import DIGITS, Bootstrap, rounded
from webslm.evaluation.scores import Said, scores

SETS = ("trained", "paraphrased", "follow_up", "held_out", "general")
TEXT_SCORES = (
    *("exact", "right", "known", "rouge_l", "chrf", "stop_rate", "signature", "repetition"),
    *("drift", "words"),
)


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
    said: Said | None
    """Its own answer; None: it was not asked, only what it gives to the reference is known."""
    asked_in_browser: bool = False
    """Whether the proof puts this question to the browser too."""


Signatures = Mapping[str, Callable[[str], bool]]


def table(
    seen: Mapping[str, Mapping[str, Sequence[Observation]]],
    signatures: Signatures,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return every score with its interval by step and set, and how each step changed it.

    Args:
        seen: By step in build order, and by set; equal questions in equal places.
        signatures: Rules that an answer may bear, by name.
        bootstrap: How intervals are made.
    """
    results: dict[str, Any] = {}
    first = next(iter(seen.values()))
    before: Mapping[str, Sequence[Observation]] | None = None
    for step, sets in seen.items():
        results[step] = {
            name: _scored(rows, signatures, bootstrap) for name, rows in sets.items() if rows
        }
        if before is not None:
            for name in results[step]:
                results[step][name]["change"] = _changed(before[name], sets[name], bootstrap)
                results[step][name]["rise"] = _risen(first[name], sets[name], bootstrap)
        asked = [row.said for row in sets["trained"] if row.asked_in_browser and row.said]
        if asked:
            results[step]["asked"] = spoken(asked, signatures, bootstrap)
        before = sets
    return results


def spoken(
    said: Sequence[Said], signatures: Signatures, bootstrap: Bootstrap, *, repeats: int = 1
) -> dict[str, Any]:
    """Return the scores of answers alone: n questions, and each mean with its interval.

    A score that no answer can have is left out; one that some can have is the mean of those.

    Args:
        said: Answers; with ``repeats``, all questions in order, that many times.
        signatures: Rules that an answer may bear, by name.
        bootstrap: How intervals are made: over questions, as answers to one are not independent.
        repeats: How often each question was asked.
    """
    each = [scores(item, signatures) for item in said]
    count = len(said) // repeats
    found: dict[str, Any] = {"n": count}
    for key in TEXT_SCORES:
        means = [
            sum(item[key] for item in each[question::count]) / repeats
            for question in range(count)
            if key in each[question]
        ]
        if means:
            found[key] = bootstrap.mean(means)
    return found


def _scored(
    rows: Sequence[Observation], signatures: Signatures, bootstrap: Bootstrap
) -> dict[str, Any]:
    forced = [row.forced for row in rows]
    tokens = [float(item.tokens) for item in forced]
    loss = bootstrap.ratio([item.loss for item in forced], tokens)
    said = [row.said for row in rows if row.said is not None]
    found: dict[str, Any] = {
        "n": len(rows),
        "answered": len(said),
        "tokens": int(sum(tokens)),
        "loss": loss,
        "perplexity": {key: round(math.exp(value), DIGITS) for key, value in loss.items()},
    }
    same = [float(item.same) for item in forced if item.same is not None]
    divergence = [item.divergence for item in forced if item.divergence is not None]
    if same:
        found["top1"] = bootstrap.ratio(same, tokens)
        found["kl"] = bootstrap.ratio(divergence, tokens)
    return {**spoken(said, signatures, bootstrap), **found}


def _changed(
    before: Sequence[Observation], after: Sequence[Observation], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return the paired changes of loss (nats a token) and, of answers, ROUGE-L."""
    tokens = [float(row.forced.tokens) for row in after]
    losses = [b.forced.loss - a.forced.loss for a, b in zip(before, after, strict=True)]
    rouge = [
        scores(b.said, {})["rouge_l"] - scores(a.said, {})["rouge_l"]
        for a, b in zip(before, after, strict=True)
        if a.said is not None and b.said is not None
    ]
    found = {"loss": bootstrap.ratio(losses, tokens)}
    return {**found, "rouge_l": bootstrap.mean(rouge)} if rouge else found


def _risen(
    base: Sequence[Observation], after: Sequence[Observation], bootstrap: Bootstrap
) -> dict[str, float]:
    """Return how far the loss lies above the first step's, as a share of that; paired."""
    losses = [[row.forced.loss for row in rows] for rows in (after, base)]
    return {key: rounded(value - 1) for key, value in bootstrap.ratio(*losses).items()}
