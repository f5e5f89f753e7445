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
    least: bool = True
    """Whether the bound is a lowest value."""


GATES = (
    Gate(key="min_rouge_l", score="rouge_l", set="trained", words="ROUGE-L of trained answers"),
    Gate(key="min_chrf", score="chrf", set="trained", words="chrF of trained answers"),
    Gate(
        key="min_stop_rate",
        score="stop_rate",
        set="trained",
        words="the stop rate of trained answers",
    ),
    Gate(
        key="min_signature_rate",
        score="signature",
        set="trained",
        words="the share of trained answers with every signature",
    ),
    Gate(
        key="min_right",
        score="right",
        set="paraphrased",
        words="the share of right answers to paraphrased questions",
    ),
    Gate(
        key="min_follow_up_right",
        score="right",
        set="follow_up",
        words="the share of right answers to follow-up questions",
    ),
    Gate(
        key="min_held_out_stop_rate",
        score="stop_rate",
        set="held_out",
        words="the stop rate of held-out answers",
    ),
    Gate(
        key="min_manner",
        score="signature",
        set="held_out",
        words="the share of held-out answers with the domain's manner",
    ),
    Gate(
        key="max_repetition",
        score="repetition",
        set="held_out",
        words="repetition of held-out answers",
        least=False,
    ),
    Gate(
        key="max_drift",
        score="drift",
        set="held_out",
        words="script drift of held-out answers",
        least=False,
    ),
    Gate(
        key="min_known",
        score="known",
        set="general",
        words="the share of general answers with an expected word",
    ),
    Gate(
        key="max_general_loss_rise",
        score="rise",
        set="general",
        words="the rise of the loss on general answers",
        least=False,
    ),
)
SET_WORDS = {
    "trained": "trained",
    "paraphrased": "paraphrased",
    "follow_up": "follow-up",
    "held_out": "held-out",
    "general": "general",
}
Results = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a score stands to its gate."""

    key: str
    """Field of ``GatesConf``."""
    words: str
    bound: float
    least: bool
    value: float | None
    """None: there is nothing to judge by, which does not pass."""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    """Questions behind the value."""
    passed: bool
    sentence: str
    """What a failed build is told."""


def judge(results: Results, gates: GatesConf) -> list[Verdict]:
    """Return a verdict for every gate that is asked for.

    Args:
        results: By step in build order, as ``survival.table`` returns.
        gates: The bounds.
    """
    return [*_ends(results, gates), *_steps(results, gates), *_forgotten(results, gates)]


def _ends(results: Results, gates: GatesConf) -> Iterator[Verdict]:
    steps = list(results)
    for gate in GATES:
        bound = getattr(gates, gate.key)
        if bound is None:
            continue
        scored = results[steps[-1]].get(gate.set, {})
        score = scored.get(gate.score)
        yield Verdict(
            key=gate.key,
            words=gate.words,
            bound=bound,
            least=gate.least,
            n=scored.get("n" if gate.score == "rise" else "answered"),
            passed=score is not None and _holds(score["value"], bound, least=gate.least),
            sentence=f"evaluate.gates.{gate.key} cannot be judged: no {SET_WORDS[gate.set]} answers"
            if score is None
            else _lost(gate, results, bound),
            **(score or {"value": None}),
        )


def _holds(value: float, bound: float, *, least: bool) -> bool:
    return value >= bound if least else value <= bound


def _lost(gate: Gate, results: Results, bound: float) -> str:
    values = {
        step: found[gate.set][gate.score]["value"]
        for step, found in results.items()
        if gate.score in found.get(gate.set, {})
    }
    steps = list(values)
    score = results[steps[-1]][gate.set][gate.score]
    asks = "at least" if gate.least else "at most"
    return (
        f"{gate.words} is {score['value']:.3g} [{score['low']:.3g}, {score['high']:.3g}] after "
        f"{steps[-1]}, evaluate.gates.{gate.key} asks for {asks} {bound:g}: "
        f"{culprit(steps, list(values.values()), bound, least=gate.least)}"
    )


def culprit(steps: Sequence[str], values: Sequence[float], bound: float, *, least: bool) -> str:
    """Return which step lost a score: the one that fell below the bound last, or none ever had it.

    Args:
        steps: In build order.
        values: The score after each.
        bound: What was asked for.
        least: Whether ``bound`` is a lowest value.
    """
    good = [_holds(value, bound, least=least) for value in values]
    told = ", ".join(f"{step} {value:.3g}" for step, value in zip(steps, values, strict=True))
    for index in range(len(steps) - 1, 0, -1):
        if good[index - 1] and not good[index]:
            return f"{steps[index]} lost it ({told})"
    return f"no step reached it, training is where to look ({told})"


def _steps(results: Results, gates: GatesConf) -> Iterator[Verdict]:
    """Yield how far the faithful steps, merge and quantization, changed what should stay."""
    for step in ("merged", "quantized"):
        # Small bounds belong to what should change nothing; a fine-tune is meant to change much.
        scored = results.get(step, {}).get("held_out") or results.get(step, {}).get("trained", {})
        least, most = gates.min_top1_agreement, gates.max_kl
        if least is not None and "top1" in scored:
            yield _changed(
                "min_top1_agreement",
                f"positions where {step} keeps the best token",
                scored,
                "top1",
                bound=least,
                sentence=f"{step} chooses the same token as the step before at "
                f"{scored['top1']['value']:.1%} of positions, "
                f"evaluate.gates.min_top1_agreement asks for {least:.1%}: {step} lost it",
            )
        if most is not None and "kl" in scored:
            yield _changed(
                "max_kl",
                f"nats a token by which {step} moves predictions",
                scored,
                "kl",
                bound=most,
                sentence=f"{step} moved the predictions by {scored['kl']['value']:.3g} nats a "
                f"token (KL), evaluate.gates.max_kl allows {most:g}: {step} lost it",
            )


def _changed(
    key: str, words: str, scored: Mapping[str, Any], measure: str, *, bound: float, sentence: str
) -> Verdict:
    """Return the verdict on one measure of a step; a gate named min_ is a least value."""
    least, value = key.startswith("min_"), scored[measure]["value"]
    return Verdict(
        key=key,
        words=words,
        bound=bound,
        least=least,
        n=scored["n"],
        passed=value >= bound if least else value <= bound,
        sentence=sentence,
        **scored[measure],
    )


def _forgotten(results: Results, gates: GatesConf) -> Iterator[Verdict]:
    bound = gates.max_general_loss_increase
    if bound is None:
        return
    losses = {
        step: found["general"]["loss"]["value"]
        for step, found in results.items()
        if "general" in found
    }
    values, steps = list(losses.values()), list(losses)
    rises = {
        step: after - before
        for step, before, after in zip(steps[1:], values, values[1:], strict=False)
    }
    lost = values[-1] - values[0]
    worst = max(rises, key=lambda step: rises[step])
    yield Verdict(
        key="max_general_loss_increase",
        words="nats a token that general answers lost",
        bound=bound,
        least=False,
        value=lost,
        n=results[steps[-1]]["general"]["n"],
        passed=lost <= bound,
        sentence=f"general answers lost {lost:.3g} nats a token, "
        f"evaluate.gates.max_general_loss_increase allows {bound:g}: {worst} forgot most "
        f"({rises[worst]:+.3g})",
    )
