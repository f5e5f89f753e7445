"""Which questions the proof asks, what torch's answer to one is cut to, and what gates count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from webslm.evaluation.answering import Greedy
from webslm.proof.observe import Answer, Asked, Proof, Question, Visit
from webslm.proof.questions import TrainedQuestion, asked_rows, first_question, last_question
from webslm.proof.verdict import Reference, failures, logit_difference, score
from webslm.schema import VerifyConf
from webslm.stages.verify import questions

SYSTEM = {"role": "system", "content": "Be short."}


def chat(*words: str) -> list[dict[str, str]]:
    """Return a conversation of alternating turns after a system message."""
    roles = ("user", "assistant")
    return [SYSTEM, *({"role": roles[at % 2], "content": w} for at, w in enumerate(words))]


def write(path: Path, conversations: Sequence[list[dict[str, str]]]) -> Path:
    lines = [json.dumps({"messages": messages}) for messages in conversations]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def greedy(*tokens: int, stopped: bool = False, gap: float = 1.0) -> Greedy:
    """Return an answer whose best logit is 5 and whose second best is token 99's."""
    best = [[(token, 5.0), (99, 5.0 - gap), (98, 0.0)] for token in tokens]
    return Greedy(tokens=list(tokens), best=best, stopped=stopped)


def test_first_and_last_question_of_a_conversation() -> None:
    messages = chat("Q1", "A1", "Q2", "A2", "Q3", "A3")
    first, last = first_question(messages), last_question(messages)
    assert (first.question, first.answer, first.follow_up) == ("Q1", "A1", False)
    assert last is not None
    assert (last.question, last.answer, last.follow_up) == ("Q3", "A3", True)
    assert [turn["content"] for turn in last.messages] == [
        "Be short.", "Q1", "A1", "Q2", "A2", "Q3",
    ]  # fmt: skip
    assert last_question(chat("Q1", "A1")) is None


def test_asked_rows_are_first_questions_then_last_ones(tmp_path: Path) -> None:
    rows = [chat(f"Q{at}", f"A{at}") for at in range(6)]
    rows[4] = chat("Q4", "A4 is shorter", "R4", "B4")
    rows[1] = chat("Q1", "A1 is not as short", "R1", "B1")
    # An answer that is not learnt is not asked for: the second question is the first here.
    rows[0] = chat("Q0", "A0", "R0", "B0")
    rows[0][2]["weight"] = 0  # type: ignore[assignment]
    path = write(tmp_path / "train.jsonl", rows)
    assert [row.question for row in asked_rows(path, 3, 1)] == ["R0", "Q2", "Q4", "R0"]
    assert [row.question for row in asked_rows(path, 2, 9)] == ["R0", "Q3", "R0", "R4", "R1"]
    assert all(message.keys() == {"role", "content"} for message in asked_rows(path, 1)[0].messages)
    assert [row.question for row in asked_rows(path, 1)] == ["R0"]
    alone = write(tmp_path / "alone.jsonl", rows[2:3])
    assert [row.question for row in asked_rows(alone, 3, 1)] == ["Q2"]


def test_logit_difference_of_a_token_that_torch_did_not_keep_is_the_least_it_can_be() -> None:
    reference = [[(1, 5.0), (2, 4.0)]]
    assert logit_difference([[(1, 5.25), (2, 4.0)]], reference) == pytest.approx(0.25)
    assert logit_difference([[(1, 5.0), (7, 4.5)]], reference) == pytest.approx(0.5)
    assert logit_difference([[(1, 5.0), (7, 3.0)]], reference) == pytest.approx(0.0)


def proof(asked: list[Asked | None], followed: list[Any], answers: list[Answer]) -> Proof:
    visit = Visit(
        question="Q", answer="A", finished=True, load_s=1, first_piece_s=1, decode_tok_s=1,
        dispatches_per_token=1, submits_per_token=1,
    )  # fmt: skip
    return Proof(
        browser="Chromium 1", adapter="x", visit=visit, asked=asked, followed=followed,
        answers=answers, console_errors=[], webgpu_errors=[], foreign_requests=[],
    )  # fmt: skip


def test_score_counts_what_was_said_and_what_was_forced() -> None:
    rows = [
        TrainedQuestion(messages=chat("Q1"), answer="one two three"),
        TrainedQuestion(messages=chat("Q1", "A1", "Q2"), answer="four five six"),
    ]
    references = [
        Reference(
            prompt=[7, 8],
            greedy={"dequantized": greedy(1, 2, 3, stopped=True), "merged": greedy(1, 9, 3)},
            answer="one two three",
            base_answer="",
        )
        for _ in rows
    ]
    conf = VerifyConf(num_prompts=1, num_greedy=1, num_tokens=2, min_answers=1, min_follow_ups=1)
    asked = questions(rows, references, conf)
    assert [one.said for one in asked] == [True, False]
    assert asked[0] == Question(
        messages=rows[0].messages, prompt=[7, 8], answer=[1, 2, 3],
        text="one two three", stopped=True, said=True,
    )  # fmt: skip
    said = Asked(text="one", stopped=False, tokens=[1, 2], best=[], num_prompt_tokens=2)
    right = references[0].greedy["dequantized"].best
    seen = proof(
        [said, None],
        [right, right],
        [
            Answer(text="one two three", stopped=True, by="forced"),
            Answer(text="nothing", stopped=True, by="said"),
        ],
    )
    report = score(rows, references, seen, conf)
    assert report["compared"] == {
        "greedy_prompts": 1,
        "greedy_tokens": 2,
        "forced_positions": 6,
    }
    assert report["greedy_agreement"] == {"dequantized": 1.0, "merged": 0.0}
    assert report["max_logit_difference"] == {"dequantized": 0.0, "merged": 5.0}
    assert report["forced_top1_agreement"] == {"dequantized": 1.0, "merged": 2 / 3}
    assert [(one["rouge_l"], one["follow_up"], one["by"]) for one in report["answers"]] == [
        (1.0, False, "forced"),
        (0.0, True, "said"),
    ]
    assert failures(report, conf) == [
        "expected 1 of 1 follow-ups to stop and reach ROUGE-L 0.8, saw 0"
    ]
    assert failures(report, VerifyConf(min_answers=1)) == []
