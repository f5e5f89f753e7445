"""Own the report's section on what each step kept: plots and tables of one evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webslm.evaluation.gates import SET_WORDS
from webslm.report.intervals import Series, steps_plot
from webslm.schema import EvaluateStageConf, StageConf

SETS = (
    ("trained", "Trained questions", "were in the training rows: does it know what it was taught?"),
    (
        *("paraphrased", "Paraphrased questions"),
        "ask what a trained row asks, worded as no row is: did it understand or only recite?",
    ),
    (
        *("follow_up", "Last questions of conversations"),
        "close trained conversations, asked with all that was said before: does it follow?",
    ),
    (
        *("held_out", "Held-out questions"),
        "are of the domain, but were never trained: did it learn more than to recite?",
    ),
    ("general", "General questions", "have nothing to do with the domain: what did it forget?"),
    ("asked", "The browser's questions", "are trained ones: the proof asked the browser the same."),
)
SCORES = (
    ("loss", "loss (nats a token)", 2, "low"),
    ("perplexity", "perplexity", 4, "low"),
    ("rise", "loss above the base's", 3, "share"),
    ("top1", "same best token as the step before", 3, "share"),
    ("kl", "KL from the step before (nats a token)", 3, "low"),
    ("exact", "word for word", 3, "share"),
    ("right", "right (ROUGE-L 0.8 or more)", 3, "share"),
    ("known", "holds an expected word", 3, "share"),
    ("rouge_l", "ROUGE-L (1 is word for word)", 2, "high"),
    ("chrf", "chrF (100 is word for word)", 1, "high"),
    ("stop_rate", "stops by itself", 3, "share"),
    ("signature", "bears the domain's signature", 3, "share"),
    ("repetition", "repeats itself", 3, "share"),
    ("drift", "drifts to another script", 3, "share"),
    ("words", "words an answer", 1, "low"),
)
PLOTS = (
    ("loss", "loss on the right answer (nats a token): lower is better"),
    ("rouge_l", "ROUGE-L of its own answer: higher is better"),
)
STEP_WORDS = {
    "base": "base",
    "adapter": "fine-tuned",
    "merged": "merged",
    "quantized": "quantized",
    "browser": "browser",
}


def facts(metrics: Mapping[str, Any], confs: Sequence[StageConf]) -> dict[str, Any]:
    """Return what the section shows; ``survival`` is None where nothing was evaluated.

    Args:
        metrics: A report's metrics by stage, with the browser's column.
        confs: The build's stage configurations.
    """
    found = metrics.get("evaluate")
    if found is None:
        return {"survival": None}
    conf = next(item for item in confs if isinstance(item, EvaluateStageConf))
    bits = conf.quant.bits or (32 if conf.quant.dtype == "float32" else 16)
    return {
        "survival": {
            **found,
            "format": conf.quant.name,
            "bits": bits,
            "gates": [gate_facts(verdict) for verdict in found["gates"]],
            "browser": metrics.get("browser"),
            "plots": [_plot(found, key, words) for key, words in PLOTS],
            "tables": [
                _table(found, metrics.get("browser"), *each)
                for each in SETS
                if each[0] in found["results"][found["steps"][0]]
            ],
        }
    }


def _plot(found: Mapping[str, Any], key: str, words: str) -> dict[str, Any]:
    steps = found["steps"]
    series = [
        Series(
            label=SET_WORDS[name],
            points=[
                (scored["value"], scored["low"], scored["high"])
                for scored in (found["results"][step][name][key] for step in steps)
            ],
        )
        for name in SET_WORDS
        if all(key in found["results"][step].get(name, {}) for step in steps)
    ]
    return {
        "picture": steps_plot([STEP_WORDS[step] for step in steps], series, title=words),
        "words": words,
    }


def _table(
    found: Mapping[str, Any], browser: Mapping[str, Any] | None, name: str, title: str, what: str
) -> dict[str, Any]:
    columns = {step: found["results"][step][name] for step in found["steps"]}
    if name == "asked" and browser is not None:
        share = {"value": browser["top1"], "low": browser["top1"], "high": browser["top1"]}
        columns["browser"] = {**browser, "top1": share}
    rows = [
        {
            "label": label,
            "cells": [_cell(scored.get(key), digits, kind) for scored in columns.values()],
        }
        for key, label, digits, kind in SCORES
        if any(key in scored for scored in columns.values())
    ]
    first = next(iter(columns.values()))
    answered = first.get("answered", first["n"])
    return {
        "title": title,
        "what": what,
        "n": first["n"],
        "left_out": found["general_trained"] if name == "general" else 0,
        "answered": None if answered == first["n"] else answered,
        "columns": [STEP_WORDS[step] for step in columns],
        "rows": rows,
    }


def gate_facts(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return a gate's verdict with what it asks, what was seen and the interval as texts."""
    interval = ""
    if verdict["low"] is not None and verdict["low"] != verdict["high"]:
        interval = f"{verdict['low']:.3g} to {verdict['high']:.3g}"
    return {
        **verdict,
        "asks": f"{'at least' if verdict['least'] else 'at most'} {verdict['bound']:g}",
        "seen": "nothing to judge by" if verdict["value"] is None else f"{verdict['value']:.3g}",
        "interval": interval,
    }


def _cell(score: Mapping[str, float] | None, digits: int, kind: str) -> dict[str, str]:
    if score is None:
        return {"value": "", "interval": ""}
    if kind == "share":
        value, low, high = (f"{100 * score[key]:.{digits}g}" for key in ("value", "low", "high"))
        value += " %"
    elif digits == 4:
        value, low, high = (f"{score[key]:.{digits}g}" for key in ("value", "low", "high"))
    else:
        value, low, high = (f"{score[key]:.{digits}f}" for key in ("value", "low", "high"))
    return {"value": value, "interval": "" if low == high else f"{low} to {high}"}
