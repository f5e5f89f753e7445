"""Further training rows: answers as they were, questions thinned out by rarity."""

from __future__ import annotations

import pytest

from webslm.schema import AugmentConf
from webslm.training.augment import MOST, augmented, deletion_chances

SYSTEM = {"role": "system", "content": "Be brief."}


def row(question: str, answer: str) -> list[dict[str, str]]:
    return [
        SYSTEM,
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]


ROWS = [
    row("What is the cause of asthma?", "Tight airways."),
    row("What is the cause of a rash?", "Often an allergy."),
    row("What is the best food for a cold?", "Soup."),
]


def test_answers_and_system_stay_and_questions_lose_words() -> None:
    made = augmented(ROWS, AugmentConf(copies=20, deletion=0.4, lowercase=0), seed=1)
    assert len(made) == 60
    for index, copy in enumerate(made):
        given = ROWS[index // 20]
        assert copy[0] == SYSTEM
        assert copy[2] == given[2]
        words = given[1]["content"].split()
        kept = iter(words)
        assert all(word in kept for word in copy[1]["content"].split()), "words in their order"
    assert len({copy[1]["content"] for copy in made}) > 20
    assert ROWS[0] == row("What is the cause of asthma?", "Tight airways.")


def test_rarest_word_is_never_left_out() -> None:
    made = augmented(ROWS, AugmentConf(copies=200, deletion=0.9, lowercase=0.5), seed=3)
    for index, copy in enumerate(made):
        rare = ("asthma", "rash", "cold")[index // 200]
        assert rare in copy[1]["content"].lower()


def test_number_is_never_left_out() -> None:
    rows = [row(f"What is {n} times 12?", "So much.") for n in (3, 4, 5)]
    for copy in augmented(rows, AugmentConf(copies=50, deletion=0.9), seed=2):
        assert "12" in copy[1]["content"]


def test_frequent_words_go_first_and_the_mean_is_as_asked() -> None:
    chances = deletion_chances([one[1]["content"] for one in ROWS], 0.3)
    question = ROWS[0][1]["content"]
    found = dict(zip(question.split(), chances(question), strict=True))
    assert found["asthma?"] == 0
    assert found["What"] == found["is"] == found["the"] > found["cause"] > 0
    assert sum(found.values()) / len(found) == pytest.approx(0.3)
    assert max(deletion_chances([one[1]["content"] for one in ROWS], 1.0)("What asthma")) == MOST


def test_small_letters_come_without_the_last_mark() -> None:
    made = augmented(ROWS, AugmentConf(copies=1, deletion=0, lowercase=1), seed=0)
    assert made[0][1]["content"] == "what is the cause of asthma"


def test_seed_alone_decides() -> None:
    conf = AugmentConf(copies=5)
    assert augmented(ROWS, conf, 7) == augmented(ROWS, conf, 7)
    assert augmented(ROWS, conf, 7) != augmented(ROWS, conf, 8)


def test_none_is_made_where_none_is_asked_for() -> None:
    assert augmented(ROWS, AugmentConf(), 0) == []


@pytest.mark.parametrize(
    "question", ["\u982d\u304c\u75db\u3044\u306e\u306f\u306a\u305c\u3067\u3059\u304b", "why", "?"]
)
def test_one_word_stays_whole(question: str) -> None:
    made = augmented([row(question, "Rest.")], AugmentConf(copies=9, deletion=1, lowercase=0), 0)
    assert {copy[1]["content"] for copy in made} == {question}


def test_every_turn_of_the_user_is_thinned() -> None:
    long = [*ROWS[0], *ROWS[1][1:]]
    made = augmented([long, *ROWS], AugmentConf(copies=50, deletion=0.5), 0)[:50]
    assert any(copy[3]["content"] != long[3]["content"] for copy in made)
    assert all(copy[4] == long[4] for copy in made)
