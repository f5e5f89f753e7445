"""Own the checks of ``evaluate`` as a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from webslm.basics.errors import Problem
from webslm.basics.paths import resolve_data
from webslm.schema import Config

UNBOUNDED = ("max_general_loss_increase", "max_general_loss_rise", "max_kl")
COUNTS = (
    *("rows", "paraphrases", "follow_ups", "general_rows", "general_asked", "max_answer_tokens"),
    *("sampled", "seeds", "resamples"),
)


def problems(cfg: Config) -> Iterator[Problem]:
    """Yield what is wrong with the survival report's settings, each with what to type."""
    conf = cfg.evaluate
    for name in COUNTS:
        if getattr(conf, name) < 1:
            yield f"evaluate.{name}: {getattr(conf, name)} is not above 0", "a positive number"
    if not 0 < conf.confidence < 1:
        yield f"evaluate.confidence: {conf.confidence} is no share", "such as 0.95"
    if not 0 < conf.cautious.temperature <= 2 or not 0 < conf.cautious.top_p <= 1:
        yield (
            f"evaluate.cautious: temperature {conf.cautious.temperature} and top_p "
            f"{conf.cautious.top_p} are no way of sampling",
            "temperature above 0 to 2, top_p above 0 to 1",
        )
    if conf.enabled and not resolve_data(conf.general_path).is_file():
        yield (
            f"evaluate.general_path: {conf.general_path}: no such file",
            "a chat JSONL of questions outside the domain",
        )
    if conf.enabled:
        yield from _gates(cfg)
    for field in fields(conf.gates):
        bound = getattr(conf.gates, field.name)
        top = 100 if field.name == "min_chrf" else 1
        if bound is None or (field.name in UNBOUNDED and bound >= 0) or 0 <= bound <= top:
            continue
        yield f"evaluate.gates.{field.name}: {bound} is out of range", f"0 to {top}, or null"
    if not conf.enabled and any(
        getattr(conf.gates, f.name) is not None for f in fields(conf.gates)
    ):
        yield "evaluate.gates: nothing is evaluated, so no gate can hold", "evaluate=on"


def _gates(cfg: Config) -> Iterator[Problem]:
    """Yield which gates have nothing to judge by."""
    for name in ("min_manner", "min_signature_rate"):
        if getattr(cfg.evaluate.gates, name) is not None and not (
            cfg.data.closing or cfg.data.signatures
        ):
            yield (
                f"evaluate.gates.{name}: nothing says what the manner is",
                "data.closing=EXPRESSION for the last sentence, or data.signatures.NAME=EXPRESSION",
            )
