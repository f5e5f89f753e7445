"""Own which rows the survival report asks, and which question of each. Know nothing of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webslm.evaluation.general import GeneralRow
from webslm.evaluation.survival import SETS
from webslm.rows.dataset import normal
from webslm.rows.picks import evenly_spaced
from webslm.rows.roles import Message, answers, learnt
from webslm.schema import QuestionsConf

Rows = Sequence[list[Message]]
SAMPLED = ("trained", "held_out")
"""Sets of which each way of sampling is asked some."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A row that is asked."""

    messages: list[Message]
    turn: int
    """Index of the answer that is asked for; all before it is told as it stands in the row."""
    is_asked: bool = True
    """Whether it is answered freely; otherwise only the reference answer's loss is looked at."""
    asked_in_browser: bool = False
    expected: tuple[str, ...] = ()
    """Words of which a right answer holds one; empty: none is looked for."""


def choose(
    conf: QuestionsConf, num_prompts: int, rows: Mapping[str, Rows], general: Sequence[GeneralRow]
) -> dict[str, list[Choice]]:
    """Return what is asked, by set.

    Args:
        conf: How many.
        num_prompts: Trained questions that the browser is asked too: they are among the trained.
        rows: Of ``trained`` (at least one), ``paraphrased`` and ``held_out``.
        general: Rows outside the domain.
    """
    trained = rows["trained"]
    browser = evenly_spaced(len(trained), num_prompts)
    talks = [row for row in trained if answers(row)[0] < learnt(row)[-1]]
    outside = _some(untrained(general, trained), conf.general_rows)
    asked = evenly_spaced(len(outside), conf.general_asked)
    found = {
        "trained": [
            _first(trained[index], asked_in_browser=index in browser)
            for index in with_others(browser, len(trained), conf.rows)
        ],
        "paraphrased": [_first(row) for row in _some(rows["paraphrased"], conf.paraphrases)],
        "follow_up": [
            Choice(messages=row, turn=learnt(row)[-1]) for row in _some(talks, conf.follow_ups)
        ],
        "held_out": [_first(row) for row in _some(rows["held_out"], conf.rows)],
        "general": [
            _first(
                [*_system(trained[0], row.messages), *row.messages],
                is_asked=place in asked,
                expected=row.expected,
            )
            for place, row in enumerate(outside)
        ],
    }
    return {name: found[name] for name in SETS}


def untrained(general: Sequence[GeneralRow], trained: Rows) -> list[GeneralRow]:
    """Return the general rows that no training row asks: the others are learnt, not kept."""
    known = {
        normal(message["content"])
        for row in trained
        for message in row
        if message["role"] == "user"
    }
    return [row for row in general if normal(_question(row.messages)) not in known]


def with_others(chosen: Sequence[int], length: int, count: int) -> list[int]:
    """Return ``count`` indices of ``range(length)``: ``chosen`` and evenly spaced others."""
    others = sorted(set(range(length)) - set(chosen))
    more = evenly_spaced(len(others), max(count - len(chosen), 0))
    return sorted([*chosen, *(others[index] for index in more)])


def sampled(sizes: Mapping[str, int], count: int) -> list[tuple[str, int]]:
    """Return (set, place) of questions evenly spaced over those of the domain.

    Args:
        sizes: Questions by set.
        count: How many to take.
    """
    pool = [(name, place) for name in SAMPLED for place in range(sizes[name])]
    return [pool[index] for index in evenly_spaced(len(pool), count)]


def _first(messages: list[Message], **more: Any) -> Choice:
    return Choice(messages=messages, turn=learnt(messages)[0], **more)


def _some(rows: Sequence[Any], count: int) -> list[Any]:
    return [rows[index] for index in evenly_spaced(len(rows), count)]


def _question(messages: Sequence[Message]) -> str:
    return messages[learnt(messages)[0] - 1]["content"]


def _system(trained: Sequence[Message], messages: Sequence[Message]) -> list[Message]:
    """Return the page's system prompt for a row that brings none of its own."""
    return [trained[0]] if trained[0]["role"] == "system" != messages[0]["role"] else []
