"""Own which rows are asked: which turn of a conversation is a question, and what precedes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from webslm.rows.artifact import read_messages
from webslm.rows.picks import evenly_spaced
from webslm.rows.roles import answers, learnt, plain


@dataclass(frozen=True, kw_only=True)
class TrainedQuestion:
    """A trained question: what precedes an answer, and that answer."""

    messages: list[dict[str, str]]
    answer: str

    @property
    def question(self) -> str:
        """Return the user's words."""
        return self.messages[-1]["content"]

    @property
    def follow_up(self) -> bool:
        """Tell whether an answer precedes the question."""
        return bool(answers(self.messages))


def first_question(messages: Sequence[Mapping[str, str]]) -> TrainedQuestion:
    """Return the first question of a conversation whose answer is learnt."""
    return _asked(messages, learnt(messages)[0])


def last_question(messages: Sequence[Mapping[str, str]]) -> TrainedQuestion | None:
    """Return the last such question; None where no answer precedes it."""
    row = _asked(messages, learnt(messages)[-1])
    return row if row.follow_up else None


def asked_rows(path: Path, prompts: int, follow_ups: int = 0) -> list[TrainedQuestion]:
    """Return what is asked of a JSONL file of conversations: first questions, then last ones.

    Args:
        path: The file.
        prompts: First questions, evenly spaced over the rows; fewer where there are fewer rows.
        follow_ups: Last questions, of the shortest conversations of several answers.
    """
    rows = read_messages(path)
    talks = [row for messages in rows if (row := last_question(messages)) is not None]
    talks.sort(key=lambda row: sum(len(message["content"]) for message in row.messages))
    first = [first_question(rows[at]) for at in evenly_spaced(len(rows), prompts)]
    return [*first, *talks[:follow_ups]]


def _asked(messages: Sequence[Mapping[str, str]], turn: int) -> TrainedQuestion:
    before = [plain(message) for message in messages[:turn]]
    return TrainedQuestion(messages=before, answer=messages[turn]["content"])
