"""Own the verdict on a proof: every number of it, and what the gates refuse. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webslm.proof.graphics.choice import is_software
from webslm.proof.observe import Best, Proof
from webslm.proof.questions import TrainedQuestion
from webslm.rows.picks import GreedyComparison, compare_greedy, rouge_l, top1_agreement
from webslm.schema import VerifyConf

if TYPE_CHECKING:
    from webslm.evaluation.answering import Greedy

REFERENCES = ("dequantized", "merged")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What torch says to one prompt."""

    prompt: list[int]
    greedy: dict[str, Greedy]
    """By name in ``REFERENCES``: the dequantized model's whole answer, and what the merged one
    would say after each start of it."""
    answer: str
    """The dequantized model's, as text."""
    base_answer: str


def score(
    rows: Sequence[TrainedQuestion], references: Sequence[Reference], seen: Proof, conf: VerifyConf
) -> dict[str, Any]:
    """Return every number of the proof as plain JSON."""
    return {
        "loaded": True,
        "browser": seen.browser,
        "adapter": _named(seen.adapter),
        "console_errors": seen.console_errors,
        "webgpu_errors": seen.webgpu_errors,
        "foreign_requests": seen.foreign_requests,
        **_tokens(references, seen, conf),
        **_answers(rows, references, seen),
        "visit": {
            "question": seen.visit.question,
            "answer": seen.visit.answer,
            "finished": seen.visit.finished,
        },
        "load_s": round(seen.visit.load_s, 2),
        "first_piece_s": round(seen.visit.first_piece_s, 2),
        "decode_tok_s": round(seen.visit.decode_tok_s, 2),
        "dispatches_per_token": seen.visit.dispatches_per_token,
        "submits_per_token": seen.visit.submits_per_token,
    }


def _tokens(references: Sequence[Reference], seen: Proof, conf: VerifyConf) -> dict[str, Any]:
    """Return how the browser's tokens and logits compare with torch's."""
    said = [
        (ref, asked) for ref, asked in zip(references, seen.asked, strict=True) if asked is not None
    ]
    greedy = {
        name: [
            compare_greedy(
                asked.tokens,
                ref.greedy[name].tokens,
                ref.greedy[name].gaps,
                num_tokens=conf.num_tokens,
                tie_gap=conf.tie_gap,
            )
            for ref, asked in said
        ]
        for name in REFERENCES
    }
    return {
        "greedy_agreement": {name: _share(greedy[name]) for name in REFERENCES},
        "first_differences": {
            name: [item.first_difference for item in greedy[name]] for name in REFERENCES
        },
        "ties": sum(item.tie for item in greedy["dequantized"]),
        "forced_top1_agreement": {
            name: _forced(seen.followed, [ref.greedy[name].tokens for ref in references])
            for name in REFERENCES
        },
        "compared": {
            "greedy_prompts": len(said),
            "greedy_tokens": sum(item.compared for item in greedy["dequantized"]),
            "forced_positions": sum(map(len, seen.followed)),
        },
        "max_logit_difference": {
            name: _largest_difference(seen.followed, [ref.greedy[name].best for ref in references])
            for name in REFERENCES
        },
        "prompt_tokens_equal": all(len(r.prompt) == a.num_prompt_tokens for r, a in said),
    }


def _answers(
    rows: Sequence[TrainedQuestion], references: Sequence[Reference], seen: Proof
) -> dict[str, Any]:
    """Return what page and base answer, held against the rows."""
    return {
        "answers": [
            {
                "question": row.question,
                "answer": shown.text,
                "reference": row.answer,
                "rouge_l": round(rouge_l(shown.text, row.answer), 4),
                "stopped": shown.stopped,
                "by": shown.by,
                "follow_up": row.follow_up,
            }
            for row, shown in zip(rows, seen.answers, strict=True)
        ],
        "base_answers": [
            {
                "question": row.question,
                "answer": ref.base_answer,
                "rouge_l": round(rouge_l(ref.base_answer, row.answer), 4),
            }
            for row, ref in zip(rows, references, strict=True)
        ],
    }


def failures(report: Mapping[str, Any], conf: VerifyConf) -> list[str]:
    """Return what the gates refuse, each with what was expected and seen."""
    found = []
    for key, what in (
        ("console_errors", "console errors"),
        ("webgpu_errors", "WebGPU errors"),
        ("foreign_requests", "requests to other hosts"),
    ):
        if report[key]:
            found.append(f"expected no {what}, saw {len(report[key])} ({report[key][0]!r})")
    # Random weights may say nothing but ids that their tokenizer has no text for.
    unread = conf.min_answers == 0 and report["decode_tok_s"] > 0
    if not report["visit"]["answer"].strip() and not unread:
        found.append("the page showed an empty answer")
    if not report["prompt_tokens_equal"]:
        found.append("web-llm's prompts have other lengths than the chat template's")
    for key, least in (
        ("greedy_agreement", conf.min_greedy_agreement),
        ("forced_top1_agreement", conf.min_forced_top1_agreement),
    ):
        value = report[key]["dequantized"]
        if value < least:
            found.append(f"expected verify.{key} of at least {least:g}, saw {value:.4f}")
    for what, least, answers in (
        ("answers", conf.min_answers, [a for a in report["answers"] if not a["follow_up"]]),
        ("follow-ups", conf.min_follow_ups, [a for a in report["answers"] if a["follow_up"]]),
    ):
        good = sum(a["stopped"] and a["rouge_l"] >= conf.min_rouge_l for a in answers)
        wanted = min(least, len(answers))
        if good < wanted:
            found.append(
                f"expected {wanted} of {len(answers)} {what} to stop and reach "
                f"ROUGE-L {conf.min_rouge_l:g}, saw {good}"
            )
    return found


def _share(items: Sequence[GreedyComparison]) -> float:
    return sum(item.agrees for item in items) / len(items)


def _forced(followed: Sequence[Best], wanted: Sequence[Sequence[int]]) -> float:
    tops = [[step[0][0] for step in best] for best in followed]
    pairs = zip(tops, wanted, strict=True)
    return top1_agreement([(top, tokens[: len(top)]) for top, tokens in pairs])


def _largest_difference(followed: Sequence[Best], wanted: Sequence[Best]) -> float:
    return max(logit_difference(*pair) for pair in zip(followed, wanted, strict=True))


def logit_difference(seen: Best, reference: Best) -> float:
    """Return the largest difference over the positions and tokens that the browser reported.

    Of a token that is not among the reference's best, only the least that it can be is known.
    """
    most = 0.0
    for step, best in zip(seen, reference, strict=False):
        known, lowest = dict(best), best[-1][1]
        for token, value in step:
            far = abs(value - known[token]) if token in known else max(0.0, value - lowest)
            most = max(most, far)
    return most


def _named(adapter: str) -> str:
    return f"software GPU: {adapter}" if is_software(adapter) else adapter
