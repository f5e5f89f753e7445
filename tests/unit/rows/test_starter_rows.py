"""The code and mathematics starter sets are whole: sizes, no finding of the doctor, paraphrases."""

from __future__ import annotations

import pytest

from webslm.basics.paths import data_dir
from webslm.config.compose import compose
from webslm.rows.artifact import read_rows
from webslm.rows.dataset import Row, leaked, repeated
from webslm.rows.examination import examine
from webslm.rows.similarity import near_duplicates
from webslm.rows.source import load_split

DOMAINS = ("code", "math")


def rows(domain: str, name: str) -> list[Row]:
    return read_rows(data_dir() / domain / f"{name}.jsonl")


@pytest.mark.parametrize("domain", DOMAINS)
def test_sets_are_large_enough(domain: str) -> None:
    train = rows(domain, "train")
    assert len(train) >= 300
    assert sum(len(row.questions) > 1 for row in train) >= 25
    assert len(rows(domain, "held_out")) >= 40
    assert len(rows(domain, "paraphrases")) >= 60


@pytest.mark.parametrize("domain", DOMAINS)
def test_doctor_finds_nothing(domain: str) -> None:
    data = compose([f"domain={domain}"]).data
    assert examine(load_split(data), data)["findings"] == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_paraphrase_has_the_answer_of_a_row_and_a_question_of_its_own(domain: str) -> None:
    train, held_out, asked = (rows(domain, name) for name in ("train", "held_out", "paraphrases"))
    answers = {row.answers for row in train if len(row.answers) == 1}
    assert [row.questions[0] for row in asked if row.answers not in answers] == []
    assert {row.system for row in asked} == {train[0].system}
    assert not repeated(asked)
    assert not leaked([*train, *held_out], asked)
    alike = near_duplicates(asked, [*train, *held_out], threshold=0.8)
    assert [pair.row.questions[0] for pair in alike if pair.part == "question"] == []
