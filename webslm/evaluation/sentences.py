"""Own the survival report in plain sentences, each made of numbers of the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webslm.evaluation.scores import RIGHT

SET_NAMES = {
    "trained": "Questions it was trained on",
    "paraphrased": "Trained questions in other words",
    "follow_up": "Last questions of trained conversations",
    "held_out": "Questions of the domain that it never saw",
    "general": "Questions outside the domain",
}
Results = Mapping[str, Any]


def sentences(results: Results, quant: str, *, adapter_asked: bool) -> dict[str, list[str]]:
    """Return what a reader should take away: of the ``finetune``, of ``quantized`` weights.

    Args:
        results: As ``survival.table`` returns, by step in build order.
        quant: The weight format's name.
        adapter_asked: Whether the adapter answered for itself, or the merged model for it.
    """
    return {
        "finetune": [
            *_tuned(results),
            *_understood(results),
            *_manner(results),
            *_kept(results),
            *_merged(results, adapter_asked=adapter_asked),
        ],
        "quantized": list(_quantized(results, quant)),
    }


def _tuned(results: Results) -> Iterator[str]:
    """Yield what lies between the base and the last step before quantization, by set."""
    steps = list(results)
    if steps[-2] == "base":
        yield "There was no fine-tune: the base was taken as it is."
        return
    base, tuned = results["base"], results[steps[-2]]
    for name, words in SET_NAMES.items():
        if name not in base:
            continue
        before, after = base[name], tuned[name]
        whole = (
            f"{_whole(after)} of {after['answered']} are answered word for word "
            f"(base: {_whole(before)}). ROUGE-L of the answers {_pair(before, after, 'rouge_l')}, "
            if "exact" in after
            else ""
        )
        yield (
            f"{words}: {whole}loss on the right answer {_pair(before, after, 'loss')} nats a token"
            f"{_forgot(results, steps, name)}."
        )


def _forgot(results: Results, steps: list[str], name: str) -> str:
    """Say what a change outside the domain means, where it is more than chance."""
    if name != "general":
        return ""
    change = results[steps[1]][name]["change"]["loss"]
    if change["low"] > 0:
        return ": the fine-tune made it forget some of what the base knew"
    return ": nothing was forgotten" if change["high"] >= 0 else ""


def _understood(results: Results) -> Iterator[str]:
    """Yield how many questions in other words get their answer, or nearly its words."""
    step = list(results)[-2]
    last = results[step].get("paraphrased")
    if last is not None and step != "base":
        before = results["base"]["paraphrased"]["right"]["value"]
        yield (
            f"Understanding: {last['right']['value']:.0%} of {last['n']} trained questions in "
            f"other words get the right answer (ROUGE-L {RIGHT:g} or more; base: {before:.0%})."
        )


def _manner(results: Results) -> Iterator[str]:
    """Yield how many answers bear the domain's manner, and how many end by themselves."""
    steps = list(results)
    name = "held_out" if "held_out" in results["base"] else "trained"
    before, after = (results[step][name] for step in ("base", steps[-2]))
    if steps[-2] == "base":
        return
    whose = f"{SET_NAMES[name][0].lower()}{SET_NAMES[name][1:]}"
    ends = f"{after['stop_rate']['value']:.0%} end by themselves"
    if "signature" in after:
        yield (
            f"Manner: {after['signature']['value']:.0%} of its answers to {whose} bear the "
            f"domain's signature (base: {before['signature']['value']:.0%}), {ends} "
            f"(base: {before['stop_rate']['value']:.0%})."
        )
    else:
        yield (
            f"Manner: {ends} of its answers to {whose} (base: {before['stop_rate']['value']:.0%}); "
            "the domain names no signature."
        )


def _kept(results: Results) -> Iterator[str]:
    """Yield what is left of what the base knew outside the domain."""
    step = list(results)[-2]
    last = results[step].get("general", {})
    if step == "base" or "known" not in last:
        return
    before = results["base"]["general"]["known"]["value"]
    rise = last["rise"]
    yield (
        f"What the base knew: {last['known']['value']:.0%} of {last['answered']} general questions "
        f"get an answer with an expected word (base: {before:.0%}); the loss on all "
        f"{last['n']} reference answers changed by {rise['value']:+.1%} "
        f"[{rise['low']:+.1%}, {rise['high']:+.1%}]."
    )


def _merged(results: Results, *, adapter_asked: bool) -> Iterator[str]:
    if "adapter" not in results:
        return
    scored = [results["merged"][name] for name in SET_NAMES if name in results["merged"]]
    tokens = sum(item["tokens"] for item in scored)
    same = sum(item["tokens"] * item["top1"]["value"] for item in scored)
    taken = "" if adapter_asked else ", so the merged model answered for both"
    yield (
        f"Merging the adapter into the base kept the best token at {same / tokens:.2%} of "
        f"{tokens} positions{taken}."
    )


def _quantized(results: Results, quant: str) -> Iterator[str]:
    steps = list(results)
    if steps[-2] != "base" and results["quantized"]["trained"]["change"]["loss"]["high"] < 0:
        yield (
            f"With {quant} weights it knows its rows better than without: the fine-tune went "
            "through their rounding (lora.quantization_aware), so that rounded ones are what was "
            "learnt."
        )
    for name, words in SET_NAMES.items():
        if name not in results["quantized"]:
            continue
        before, after = results[steps[-2]][name], results["quantized"][name]
        changes = after["change"]
        whole = (
            f"{_whole(after)} of {after['answered']} word for word with {quant} weights "
            f"({_whole(before)} without). "
            if "exact" in after
            else ""
        )
        moved = f"ROUGE-L {told(changes['rouge_l'])}, " if "rouge_l" in changes else ""
        yield (
            f"{words}: {whole}The best token stays the same at "
            f"{after['top1']['value']:.1%} of {after['tokens']} positions; "
            f"{moved}loss {told(changes['loss'])}{_chance(*changes.values())}."
        )


def told(change: Mapping[str, float]) -> str:
    """Return a change with its interval."""
    if change["low"] == change["high"] == 0:
        return "unchanged"
    return f"{change['value']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"


def _whole(scored: Mapping[str, Any]) -> int:
    return round(float(scored["exact"]["value"]) * int(scored["answered"]))


def _pair(before: Mapping[str, Any], after: Mapping[str, Any], key: str) -> str:
    return f"{before[key]['value']:.2f} to {after[key]['value']:.2f}"


def _chance(*changes: Mapping[str, float]) -> str:
    """Say where no interval excludes 0."""
    within = all(change["low"] <= 0 <= change["high"] for change in changes)
    return ": no more than chance would do with so few questions" if within else ""
