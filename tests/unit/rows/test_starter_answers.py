"""Answers of the code and mathematics starter sets are true: run, or worked out again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from tests.starter_sums import SUMS
from webslm.basics.paths import data_dir
from webslm.rows.artifact import read_rows
from webslm.rows.dataset import Row

FENCED = re.compile(r"```python\n(.+?)\n```", re.DOTALL)
CHECK = re.compile(r"\n\nCheck: `([^`]+)` gives `([^`]+)`\.$")
PART = r"(?:[\d\s()*/^+-]|\.(?=\d))*"
TERM = re.compile(rf"{PART}(?:={PART})+")
"""A stretch of calculation with an equals sign; letters, commas and full stops end it."""
ANSWER = re.compile(r"Answer: ([^:]+)\.$")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:/\d+)?")
NONE = re.compile(r"\b(?:no|not|nobody|cannot|ask|only)\b")
"""How an answer says that there is no number to give."""
Space = dict[str, Any]


def rows(domain: str) -> list[Row]:
    names = ("train", "held_out")
    return [row for name in names for row in read_rows(data_dir() / domain / f"{name}.jsonl")]


def run_answer(answer: str, space: Space) -> bool:
    """Run an answer's program and say whether its check gives what it claims."""
    (program,) = FENCED.findall(answer)
    ((expression, claimed),) = CHECK.findall(answer)
    exec(compile(program, "answer", "exec", dont_inherit=True), space)
    value = eval(expression, space)
    # Text and numbers are compared as written: 2 is not 2.0.
    return bool(repr(value) == claimed)


def value(side: str) -> Fraction:
    """Work out one side of an equation in exact fractions."""
    written = re.sub(r"\d+(?:\.\d+)?", r"Fraction('\g<0>')", side.replace("^", "**"))
    return Fraction(eval(written, {"Fraction": Fraction}))


def equations(text: str) -> Iterator[tuple[str, Fraction, Fraction]]:
    """Yield every pair of numeric sides in a text; an unknown's own side is left out."""
    for found in TERM.findall(text):
        sides = [side.strip() for side in found.split("=")]
        for left, right in pairwise(sides):
            if left and right:
                yield found, value(left), value(right)


@pytest.mark.parametrize("row", rows("code"), ids=lambda row: row.questions[0])
def test_every_program_runs_and_gives_what_its_answer_claims(row: Row) -> None:
    space: Space = {"__name__": "answer"}
    for answer in row.answers:
        assert run_answer(answer, space)


def test_program_that_gives_something_else_is_noticed() -> None:
    answer = "Add.\n\n```python\ntotal = 1 + 1\n```\n\nCheck: `total` gives `{}`."
    assert run_answer(answer.format("2"), {})
    assert not run_answer(answer.format("3"), {})
    with pytest.raises(NameError):
        run_answer(answer.format("2").replace("`total`", "`sum_of`"), {})


def test_programs_reach_for_the_standard_library_only() -> None:
    import sys

    for row in rows("code"):
        for answer in row.answers:
            for node in ast.walk(ast.parse(FENCED.findall(answer)[0])):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("row", rows("math"), ids=lambda row: row.questions[0])
def test_every_sum_is_right_and_leads_to_the_answer(row: Row) -> None:
    for question, answer in zip(row.questions, row.answers, strict=True):
        steps, _, _ = answer.partition(" Answer: ")
        worked = list(equations(steps))
        assert worked or not SUMS[question]
        for written, left, right in worked:
            assert left == right, written
        (result,) = ANSWER.findall(answer)
        found = [Fraction(number) for number in NUMBER.findall(result)]
        assert sorted(found) == sorted(Fraction(number) for number in SUMS[question])
        assert found or NONE.search(result)


def test_wrong_sum_is_noticed() -> None:
    right = list(equations("First 2 * (3 + 4) = 14, then 14 / 4 = 3.5. So x = 7/2 = 3.5."))
    assert [left == other for _, left, other in right] == [True, True, True]
    wrong = list(equations("It is 0.1 + 0.2 = 0.30001, and 2^3 = 6."))
    assert [left == other for _, left, other in wrong] == [False, False]


def test_every_sum_has_a_question_and_no_other() -> None:
    assert set(SUMS) == {question for row in rows("math") for question in row.questions}
