"""Own the gates of the survival report: what fails a build, and which step lost it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webslm.schema import GatesConf


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A bound on one score of the last step."""

    key: str
    """Field of ``GatesConf``."""
    score: str
    set: str
    words: str
    least: bool
    """Whether the bound is a lowest value."""


GATES = (
    Gate(key="min_rouge_l", score="rouge_l", set="trained", words="ROUGE-L", least=True),
    Gate(key="min_chrf", score="chrf", set="trained", words="chrF", least=True),
    Gate(key="min_stop_rate", score="stop_rate", set="trained", words="the stop rate", least=True),
    Gate(
        key="min_signature_rate",
        score="signature",
        set="trained",
        words="the signature rate",
        least=True,
    ),
    Gate(
        key="min_right",
        score="right",
        set="paraphrased",
        words="the share of right answers",
        least=True,
    ),
    Gate(key="max_repetition", score="repetition", set="held_out", words="repetition", least=False),
    Gate(key="max_drift", score="drift", set="held_out", words="script drift", least=False),
)
SET_WORDS = {
    "trained": "trained",
    "paraphrased": "paraphrased",
    "held_out": "held-out",
    "general": "general",
}


def failures(results: Mapping[str, Any], gates: GatesConf) -> list[str]:
    """Return a sentence for every gate that the results do not pass.

    Args:
        results: By step in build order, as ``survival.table`` returns.
        gates: The bounds.
    """
    return [*_ends(results, gates), *_steps(results, gates), *_forgotten(results, gates)]


def _ends(results: Mapping[str, Any], gates: GatesConf) -> Iterator[str]:
    steps = list(results)
    for gate in GATES:
        bound = getattr(gates, gate.key)
        if bound is None:
            continue
        values = [_value(results[step], gate.set, gate.score) for step in steps]
        final = values[-1]
        if final is None:
            yield f"evaluate.gates.{gate.key} cannot be judged: no {SET_WORDS[gate.set]} answers"
        elif (final < bound) if gate.least else (final > bound):
            known = [value for value in values if value is not None]
            asks = "at least" if gate.least else "at most"
            yield (
                f"{gate.words} of {SET_WORDS[gate.set]} answers is {final:.3g} after "
                f"{steps[-1]}, evaluate.gates.{gate.key} asks for {asks} {bound:g}: "
                f"{culprit(steps, known, bound, least=gate.least)}"
            )


def culprit(steps: Sequence[str], values: Sequence[float], bound: float, *, least: bool) -> str:
    """Return which step lost a score: the one that fell below the bound last, or none ever had it.

    Args:
        steps: In build order.
        values: The score after each.
        bound: What was asked for.
        least: Whether ``bound`` is a lowest value.
    """
    good = [(value >= bound) if least else (value <= bound) for value in values]
    told = ", ".join(f"{step} {value:.3g}" for step, value in zip(steps, values, strict=True))
    for index in range(len(steps) - 1, 0, -1):
        if good[index - 1] and not good[index]:
            return f"{steps[index]} lost it ({told})"
    return f"no step reached it, training is where to look ({told})"


def _steps(results: Mapping[str, Any], gates: GatesConf) -> Iterator[str]:
    """Yield what the faithful steps, merge and quantization, changed too much."""
    for step in ("merged", "quantized"):
        # Small bounds belong to what should change nothing; a fine-tune is meant to change much.
        scored = results.get(step, {}).get("held_out") or results.get(step, {}).get("trained", {})
        top1, kl = (scored.get(key, {}).get("value") for key in ("top1", "kl"))
        least = gates.min_top1_agreement
        if least is not None and top1 is not None and top1 < least:
            yield (
                f"{step} chooses the same token as the step before at {top1:.1%} of positions, "
                f"evaluate.gates.min_top1_agreement asks for {least:.1%}: {step} lost it"
            )
        if gates.max_kl is not None and kl is not None and kl > gates.max_kl:
            yield (
                f"{step} moved the predictions by {kl:.3g} nats a token (KL), "
                f"evaluate.gates.max_kl allows {gates.max_kl:g}: {step} lost it"
            )


def _forgotten(results: Mapping[str, Any], gates: GatesConf) -> Iterator[str]:
    bound = gates.max_general_loss_increase
    steps = list(results)
    losses = [_value(results[step], "general", "loss") for step in steps]
    first, last = losses[0], losses[-1]
    if bound is None or first is None or last is None or last - first <= bound:
        return
    known = [value for value in losses if value is not None]
    rises = {
        step: after - before
        for step, before, after in zip(steps[1:], known, known[1:], strict=False)
    }
    worst = max(rises, key=lambda step: rises[step])
    yield (
        f"general answers lost {last - first:.3g} nats a token, "
        f"evaluate.gates.max_general_loss_increase allows {bound:g}: {worst} forgot most "
        f"({rises[worst]:+.3g})"
    )


def _value(scored: Mapping[str, Any], name: str, score: str) -> float | None:
    value: float | None = scored.get(name, {}).get(score, {}).get("value")
    return value
