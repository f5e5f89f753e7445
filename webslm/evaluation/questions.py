"""Own the survival report's questions as tokens: what a model is asked, and what is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.basics.paths import resolve_data
from webslm.evaluation import generating
from webslm.evaluation.choice import Choice, choose, untrained
from webslm.evaluation.evaluating import Probe
from webslm.evaluation.general import read_general
from webslm.evaluation.scores import Said
from webslm.rows import artifact
from webslm.schema import EvaluateStageConf, QuestionsConf
from webslm.training import turns
from webslm.training.loaded import decode

FILES = {
    "trained": artifact.TRAIN,
    "paraphrased": artifact.PARAPHRASES,
    "held_out": artifact.HELD_OUT,
}
OUTSIDE = "general"
SLACK = 16
"""Tokens beyond twice its reference's that an answer outside the domain may have."""
Answers = dict[str, list[generating.Answer | None]]
"""By set, in the order of its questions; None: that question is only looked at."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A row as it is asked and scored."""

    choice: Choice
    probe: Probe
    limit: int
    """Tokens after which the answer is cut."""


Asked = Mapping[str, Sequence[Question]]


def questions(
    conf: QuestionsConf, num_prompts: int, data: Path, tokenizer: Any, stops: frozenset[int]
) -> dict[str, list[Question]]:
    """Return the questions of every set.

    Args:
        conf: Which are chosen.
        num_prompts: Trained questions that the browser is asked too.
        data: The data stage's artifact.
        tokenizer: The model's.
        stops: Tokens that end an answer.

    Raises:
        ConfigError: The chat template refuses a row.
        StageFailed: A row's prompt or end is not what was trained (``turns.encode_last``).
    """
    rows = {name: artifact.read_messages(data / file) for name, file in FILES.items()}
    chosen = choose(conf, num_prompts, rows, read_general(resolve_data(conf.general_path)))
    return {
        name: [
            _question(tokenizer, choice, name, number, stops, conf.max_answer_tokens)
            for number, choice in enumerate(choices, 1)
        ]
        for name, choices in chosen.items()
    }


def trained_general(conf: QuestionsConf, data: Path) -> int:
    """Return how many general rows are left out because a training row asks them too."""
    general = read_general(resolve_data(conf.general_path))
    return len(general) - len(untrained(general, artifact.read_messages(data / FILES["trained"])))


def _question(
    tokenizer: Any, choice: Choice, name: str, number: int, stops: frozenset[int], limit: int
) -> Question:
    prompt, answer = turns.encode_last(
        tokenizer, choice.messages[: choice.turn + 1], number=number, stops=stops
    )
    if name == OUTSIDE:
        # A tune that adds its closing sentence moves the stop, and forgets nothing by it.
        answer = [token for token in answer if token not in stops]
        limit = min(limit, 2 * len(answer) + SLACK)
    return Question(choice=choice, probe=Probe(prompt=prompt, answer=answer), limit=limit)


def probes(asked: Asked) -> list[Probe]:
    """Return what is looked at, set after set."""
    return [question.probe for rows in asked.values() for question in rows]


def greedy(model: Any, asked: Asked, stops: frozenset[int]) -> Answers:
    """Return a model's own answers."""
    put = [row for rows in asked.values() for row in rows if row.choice.is_asked]
    answers = iter(_answers(model, put, stops, generating.Sampling(), seed=0))
    return {
        name: [next(answers) if row.choice.is_asked else None for row in rows]
        for name, rows in asked.items()
    }


def sample(
    model: Any, rows: Sequence[Question], cfg: EvaluateStageConf, stops: frozenset[int]
) -> dict[str, list[generating.Answer]]:
    """Return by way of sampling the answers to ``rows``, in order, ``evaluate.seeds`` times."""
    put = [*rows] * cfg.evaluate.seeds
    return {
        name: _answers(model, put, stops, way, seed=cfg.seed) for name, way in ways(cfg).items()
    }


def ways(cfg: EvaluateStageConf) -> dict[str, generating.Sampling]:
    """Return the ways of sampling that are tried beside the best token, by name."""
    return {
        name: generating.Sampling(
            temperature=way.temperature,
            top_p=way.top_p,
            repetition_penalty=way.repetition_penalty,
        )
        for name, way in (("cautious", cfg.evaluate.cautious), ("page", cfg.decoding))
    }


def _answers(
    model: Any,
    rows: Sequence[Question],
    stops: frozenset[int],
    way: generating.Sampling,
    *,
    seed: int,
) -> list[generating.Answer]:
    return generating.answer(
        model,
        [row.probe.prompt for row in rows],
        stops=stops,
        limits=[row.limit for row in rows],
        sampling=way,
        seed=seed,
    )


def said(tokenizer: Any, question: Question, answer: generating.Answer) -> Said:
    """Return an answer as it is scored."""
    choice = question.choice
    tokens, stopped = answer
    return Said(
        question=choice.messages[choice.turn - 1]["content"],
        reference=choice.messages[choice.turn]["content"],
        answer=decode(tokenizer, tokens).strip(),
        stopped=stopped,
        expected=choice.expected,
    )
