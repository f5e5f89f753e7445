"""Own the survival report's last column: what the browser's own answers are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webslm.basics.stage import Result
from webslm.engine.plan import Step
from webslm.evaluation.intervals import Bootstrap
from webslm.evaluation.scores import Said
from webslm.evaluation.survival import spoken
from webslm.rows.examination import signatures
from webslm.schema import EvaluateStageConf


def browser_column(steps: Sequence[Step], results: Sequence[Result]) -> dict[str, Any]:
    """Return ``{"browser": scores}`` of the proof's answers, empty where a part is missing.

    The questions are those of ``asked`` in the evaluation's table, so that a step in torch and
    the browser can be read side by side.
    """
    conf = next((s.conf for s in steps if isinstance(s.conf, EvaluateStageConf)), None)
    proof = next((result.metrics for result in results if result.stage == "verify"), None)
    if conf is None or proof is None:
        return {}
    return {"browser": scored(conf, proof)}


def scored(conf: EvaluateStageConf, proof: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of a proof's answers and how often its tokens are torch's.

    Args:
        conf: Whose rules and intervals to use.
        proof: The metrics of ``verify``.
    """
    said = [
        Said(
            question=item["question"],
            reference=item["reference"],
            answer=item["answer"],
            stopped=item["stopped"],
        )
        for item in proof["answers"]
        if not item["follow_up"]
    ]
    bootstrap = Bootstrap(
        resamples=conf.evaluate.resamples, confidence=conf.evaluate.confidence, seed=conf.seed
    )
    return {
        **spoken(said, signatures(conf.closing, conf.signatures), bootstrap),
        "top1": proof["forced_top1_agreement"]["dequantized"],
        "greedy": proof["greedy_agreement"]["dequantized"],
        "name": proof["browser"],
    }
