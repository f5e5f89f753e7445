"""The dataset doctor's findings: each is found in rows that have it, and in no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import chat_row
from webslm.basics.errors import ConfigError
from webslm.rows.changes import Changes
from webslm.rows.dataset import Row
from webslm.rows.examination import KINDS, describe, examine
from webslm.rows.personal import hidden, personal_data
from webslm.rows.similarity import near_duplicates
from webslm.rows.source import Split
from webslm.schema import DataConf
from webslm.stages.data import refuse

Writer = Callable[..., Path]
LONG = "Drink water often, rest in the shade and cool the skin with a damp cloth. Ask a nurse."


def row(line: int, question: str, answer: str) -> Row:
    return Row(line, tuple(chat_row(question, answer)["messages"]))  # type: ignore[arg-type]


CLEAN = [
    row(1, "What helps against heat?", LONG),
    row(2, "How long should a child sleep?", "Most need nine to twelve hours. Ask a nurse."),
]
HELD = [row(1, "Can I swim after lunch?", "Yes, gently, if you feel well. Ask a nurse.")]


def found(train: list[Row], held_out: list[Row] | None = None, **rules: Any) -> dict[str, Any]:
    data = DataConf(path="x", **rules)
    held = HELD if held_out is None else held_out
    stats = examine(Split(train=train, held_out=held, changes=Changes()), data)
    return {item["kind"]: item for item in stats["findings"]}


def test_clean_rows_have_no_findings() -> None:
    assert found(CLEAN, closing="nurse", signatures={"asks": "ask"}) == {}


def test_near_duplicate_questions_and_answers_are_shown_with_both_places() -> None:
    again = [
        *CLEAN,
        row(3, "What helps against the heat?", "Something else entirely, said in other words."),
        row(4, "Is shade good in summer?", LONG.replace("damp", "wet")),
    ]
    item = found(again, near_duplicate=0.6)["near_duplicates"]
    assert item["text"].startswith("2 training rows")
    told = "\n".join(item["examples"])
    assert "questions" in told
    assert "line:3" in told
    assert "answers" in told
    assert "line:4" in told


def test_held_out_row_that_nearly_repeats_a_trained_one_is_a_leak() -> None:
    leak = [row(9, "What helps against heat??", LONG), *HELD]
    item = found(CLEAN, leak)["near_leaks"]
    assert item["text"].startswith("1 held-out")
    assert "line:9" in item["examples"][0]


def test_likeness_is_exact_jaccard_and_independent_of_order() -> None:
    pairs = near_duplicates([row(1, "abcdefgh", "x"), row(2, "abcdefgz", "y")], threshold=0.5)
    # Shingles of five: abcde bcdef cdefg defgh against ... defgz: 3 of 5.
    assert [pair.similarity for pair in pairs] == [pytest.approx(0.6)]
    other = near_duplicates([row(2, "abcdefgz", "y"), row(1, "abcdefgh", "x")], threshold=0.5)
    assert [pair.similarity for pair in other] == [pair.similarity for pair in pairs]


def test_short_answers_are_not_called_repetitions() -> None:
    assert near_duplicates([row(1, "Wet?", "Yes."), row(2, "Dry?", "Yes.")], threshold=0.8) == []


@pytest.mark.parametrize("answer", ["It depends on the", "One, two and", "see the doctor,"])
def test_answer_cut_in_the_middle_is_found(answer: str) -> None:
    item = found([*CLEAN, row(3, "And now?", answer)])["unfinished"]
    assert item["examples"] == [f"line:3: ...{answer}"]


@pytest.mark.parametrize("answer", ["So.", "So!", "(so)", "`code`", "done: 5", "他说好。", "“So”"])
def test_finished_answer_is_none(answer: str) -> None:
    assert "unfinished" not in found([*CLEAN, row(3, "And now?", answer)])


PERSONAL = {
    "e-mail address": "Write to jane.doe@clinic.example today.",
    "telephone number": "Call +44 20 7946 0958 at once.",
    "payment card number": "Card 4111 1111 1111 1111 was used.",
    "bank account (IBAN)": "Pay to GB82 WEST 1234 5698 7654 32 now.",
    "US social security number": "Her number is 078-05-1120 on file.",
}
PHONES = (
    "(555) 123-4567",
    "Tel.: 0711 / 123456-7",
    "030 901820 is the number",
    "ring 07885 577 899",
    "+49 (0)30 901820",
    "0049 30 901820",
    "910.538.0115",
    "1-800-555-0199",
    "Phone: 555-0199",
    "\u624b\u673a13812345678",
    "+1 (212) 555-0187",
    "+86 138 1234 5678",
    "090-1234-5678",
    "Mobile: 9876543210",
    "(02) 9876 5432",
    "+55 11 91234-5678",
    "06 12 34 56 78",
)
IMPERSONAL = (
    "Call 112 or 999 in an emergency.",
    "Between 1990 and 2024 prices rose by 1 500 000.",
    "Version 2.13.0 of 2026-11-21 weighs 12345678 bytes.",
    "Card 4111 1111 1111 1112 fails the check digit.",
    "Take 400 mg every 6-8 hours, 3 times a day.",
    "(52 + 103 + 107 + 99) / 4 = 90.25",
    "0110 0101 + 0001 0011 = 0111 1000",
    "0001 0010 0011 0100",
    "C = arccos(-0.3571428571) and 0.9235687435",
    "3 * (11003885 * 3 + 5) = 9",
    "472547338\n+960397912423686\n= 960398384971024",
    "100-200-3000 = -3100",
    "from (2011-2015), (10) 2000-2010",
    "start (2023-01-01), end 03/16/2016, at 2024-11-02 10:15:30",
    "ISBN 978-0-394-80001-9, 9780747542155",
    "A/C No. 00632000001783",
    "192.168.100.200 and 10.0.0.1:8080",
    "01 02 03 04 05 06 and 2 3 5 7 11 13 17 19 23",
    "275.43397884615385, 4212883012996 and 1007411131329104",
    "000-12-3456 and 900-12-3456",
)


@pytest.mark.parametrize("text", PHONES)
def test_telephone_numbers_of_many_countries_are_flagged(text: str) -> None:
    assert [kind for kind, _ in personal_data(text)] == ["telephone number"]


@pytest.mark.parametrize("kind", PERSONAL)
def test_personal_data_is_flagged_as_its_kind_and_never_shown_whole(kind: str) -> None:
    seen = list(personal_data(PERSONAL[kind]))
    assert [name for name, _ in seen] == [kind]
    item = found([*CLEAN, row(3, "And?", PERSONAL[kind])])["personal_data"]
    _, shown = seen[0]
    assert len(shown) == 7
    assert shown in item["examples"][0]
    assert "line:3 (assistant)" in item["examples"][0]


@pytest.mark.parametrize("text", IMPERSONAL)
def test_other_numbers_are_no_personal_data(text: str) -> None:
    assert list(personal_data(text)) == []


def test_hidden_text_keeps_two_characters_at_either_end() -> None:
    assert hidden("jane@x.org") == "ja...rg"


def test_signature_share_is_counted_per_set_and_the_lacking_row_shown() -> None:
    rows = [*CLEAN, row(3, "And?", "Nobody can say. A nurse once told me. No.")]
    stats = describe(rows, DataConf(path="x", closing="nurse", signatures={"Water": "water"}))
    assert stats["closing_share"] == round(2 / 3, 4)
    assert stats["signatures"] == {"closing": round(2 / 3, 4), "Water": round(1 / 3, 4)}
    item = found(rows, closing="nurse")["signature"]
    assert item["text"] == "1 answers lack the signature 'closing'"
    assert item["examples"][0].startswith("line:3")


def test_set_without_held_out_rows_is_said() -> None:
    assert "no_held_out" in found(CLEAN, [])


def test_left_out_and_replaced_rows_are_findings() -> None:
    changes = Changes()
    changes.leave_out("a mistake in the row", "x:2: not JSON")
    changes.system["replaced"] = 3
    split = Split(train=CLEAN, held_out=HELD, changes=changes)
    kinds = {item["kind"] for item in examine(split, DataConf(path="x"))["findings"]}
    assert kinds == {"left_out", "system_replaced"}
    assert kinds <= set(KINDS)


def test_refused_finding_ends_the_build_with_its_place() -> None:
    stats = {"findings": list(found([*CLEAN, row(3, "And?", PERSONAL["e-mail address"])]).values())}
    refuse(stats, DataConf(path="x"))
    with pytest.raises(ConfigError, match=r"personal data.*line:3"):
        refuse(stats, DataConf(path="x", refuse=["personal_data"]))
