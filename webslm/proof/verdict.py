"""Own the verdict on a proof: every number of it, and what the gates refuse. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webslm.graphics.choice import is_software
from webslm.proof.observe import Best, Proof
from webslm.proof.scoring import GreedyComparison, compare_greedy, rouge_l, top1_agreement
from webslm.schema import VerifyConf

if TYPE_CHECKING:
    from webslm.adapters.reference import Greedy

REFERENCES = ("dequantized", "merged")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A trained question: what precedes its first answer, and that answer."""

    messages: list[dict[str, str]]
    answer: str

    @property
    def question(self) -> str:
        """Return the user's words."""
        return self.messages[-1]["content"]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What torch says to one prompt."""

    prompt: list[int]
    greedy: dict[str, Greedy]
    """By name in ``REFERENCES``."""
    base_answer: str


def score(
    rows: Sequence[Row], references: Sequence[Reference], seen: Proof, conf: VerifyConf
) -> dict[str, Any]:
    """Return every number of the proof as plain JSON."""
    pairs = list(zip(rows, references, seen.asked, strict=True))
    greedy = {
        name: [
            compare_greedy(
                asked.tokens,
                ref.greedy[name].tokens,
                ref.greedy[name].gaps,
                num_tokens=conf.num_tokens,
                tie_gap=conf.tie_gap,
            )
            for _, ref, asked in pairs
        ]
        for name in REFERENCES
    }
    followed = {
        name: seen.followed[index :: len(REFERENCES)] for index, name in enumerate(REFERENCES)
    }
    return {
        "loaded": True,
        "browser": seen.browser,
        "adapter": _named(seen.adapter),
        "console_errors": seen.console_errors,
        "webgpu_errors": seen.webgpu_errors,
        "foreign_requests": seen.foreign_requests,
        "greedy_agreement": {name: _share(greedy[name]) for name in REFERENCES},
        "first_differences": {
            name: [item.first_difference for item in greedy[name]] for name in REFERENCES
        },
        "ties": sum(item.tie for item in greedy["dequantized"]),
        "forced_top1_agreement": {
            name: _forced(followed[name], [ref.greedy[name].tokens for ref in references])
            for name in REFERENCES
        },
        "max_logit_difference": {
            name: max(
                _logit_difference(best, ref.greedy[name].logits)
                for best, ref in zip(followed[name], references, strict=True)
            )
            for name in REFERENCES
        },
        "prompt_tokens_equal": all(len(r.prompt) == a.num_prompt_tokens for _, r, a in pairs),
        "answers": [
            {
                "question": row.question,
                "answer": asked.text,
                "reference": row.answer,
                "rouge_l": round(rouge_l(asked.text, row.answer), 4),
                "stopped": asked.stopped,
            }
            for row, _, asked in pairs
        ],
        "base_answers": [
            {
                "question": row.question,
                "answer": ref.base_answer,
                "rouge_l": round(rouge_l(ref.base_answer, row.answer), 4),
            }
            for row, ref, _ in pairs
        ],
        "visit": {"question": seen.visit.question, "answer": seen.visit.answer},
        "load_s": round(seen.visit.load_s, 2),
        "first_piece_s": round(seen.visit.first_piece_s, 2),
        "decode_tok_s": round(seen.visit.decode_tok_s, 2),
        "dispatches_per_token": seen.visit.dispatches_per_token,
        "submits_per_token": seen.visit.submits_per_token,
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
    good = sum(a["stopped"] and a["rouge_l"] >= conf.min_rouge_l for a in report["answers"])
    least_good = min(conf.min_answers, len(report["answers"]))
    if good < least_good:
        found.append(
            f"expected {least_good} of {len(report['answers'])} answers to stop and reach "
            f"ROUGE-L {conf.min_rouge_l:g}, saw {good}"
        )
    return found


def _share(items: Sequence[GreedyComparison]) -> float:
    return sum(item.agrees for item in items) / len(items)


def _forced(followed: Sequence[Best], wanted: Sequence[Sequence[int]]) -> float:
    tops = [[step[0][0] for step in best] for best in followed]
    return top1_agreement(list(zip(tops, wanted, strict=True)))


def _logit_difference(best: Best, logits: Any) -> float:
    """Return the largest difference over the tokens that the browser reported.

    ``logits`` is a float array [token, vocabulary].
    """
    return max(
        abs(value - float(row[token]))
        for step, row in zip(best, logits, strict=True)
        for token, value in step
    )


def _named(adapter: str) -> str:
    return f"software GPU: {adapter}" if is_software(adapter) else adapter
