"""Scores that gates are made of, against values worked out by hand."""

from __future__ import annotations

import pytest

from webslm.proof.verdict import failures
from webslm.rows.picks import common_length, compare_greedy, evenly_spaced, rouge_l, top1_agreement
from webslm.schema import VerifyConf


@pytest.mark.parametrize(
    ("candidate", "reference", "score"),
    [
        # The worked example of Lin (2004): LCS 3 of 4 and 4 words, then 2 of 4 and 4.
        ("police kill the gunman", "police killed the gunman", 0.75),
        ("the gunman kill police", "police killed the gunman", 0.5),
        ("Drink water.", "drink WATER", 1.0),
        ("one two three", "four five", 0.0),
        ("", "anything", 0.0),
        ("", "", 0.0),
        # LCS 2, two words said, four wanted: P = 1, R = 1/2.
        ("a c", "a b c d", 2 / 3),
        ("wörter zählen", "Wörter zählen", 1.0),
    ],
)
def test_rouge_l_known_values(candidate: str, reference: str, score: float) -> None:
    assert rouge_l(candidate, reference) == pytest.approx(score)


def test_common_length_does_not_count_a_word_twice() -> None:
    assert common_length(["a", "a"], ["a"]) == 1
    assert common_length(["a", "b", "a"], ["a", "a", "b"]) == 2


def test_compare_greedy_same_tokens() -> None:
    seen = compare_greedy([1, 2, 3], [1, 2, 3], [1.0, 1.0, 1.0], num_tokens=8, tie_gap=1e-3)
    assert (seen.compared, seen.first_difference, seen.agrees) == (3, None, True)


def test_compare_greedy_looks_at_no_more_than_num_tokens() -> None:
    seen = compare_greedy([1, 2, 9], [1, 2, 3], [1.0] * 3, num_tokens=2, tie_gap=1e-3)
    assert (seen.compared, seen.agrees) == (2, True)


@pytest.mark.parametrize(("gap", "agrees"), [(5e-4, True), (5e-3, False)])
def test_compare_greedy_excuses_only_a_tie(gap: float, agrees: bool) -> None:
    seen = compare_greedy([1, 9, 3], [1, 2, 3], [1.0, gap, 1.0], num_tokens=8, tie_gap=1e-3)
    assert (seen.first_difference, seen.tie, seen.agrees) == (1, agrees, agrees)


def test_compare_greedy_excuses_no_later_tie() -> None:
    seen = compare_greedy([9, 9], [1, 2], [1.0, 1e-9], num_tokens=8, tie_gap=1e-3)
    assert not seen.agrees


def test_compare_greedy_early_stop_is_a_difference() -> None:
    seen = compare_greedy([1], [1, 2], [1.0, 1.0], num_tokens=8, tie_gap=1e-3)
    assert (seen.first_difference, seen.agrees) == (1, False)
    longer = compare_greedy([1, 2], [1], [1.0], num_tokens=8, tie_gap=1e-3)
    assert (longer.first_difference, longer.agrees) == (1, False)


def test_top1_agreement_counts_positions_over_all_runs() -> None:
    assert top1_agreement([([1, 2, 3], [1, 2, 9]), ([5], [5])]) == pytest.approx(0.75)


def test_top1_agreement_refuses_runs_that_do_not_match() -> None:
    with pytest.raises(ValueError, match=r"argument 2 is (shorter|longer)"):
        top1_agreement([([1, 2], [1])])
    with pytest.raises(ValueError, match="no positions"):
        top1_agreement([([], [])])


@pytest.mark.parametrize(
    ("length", "count", "expected"),
    [(10, 5, [0, 2, 4, 6, 8]), (3, 5, [0, 1, 2]), (7, 3, [0, 2, 4]), (0, 4, [])],
)
def test_evenly_spaced(length: int, count: int, expected: list[int]) -> None:
    assert evenly_spaced(length, count) == expected


@pytest.mark.parametrize(
    ("answer", "decoded", "least", "refused"),
    [
        ("Rest.", 9.0, 4, False),
        (" ", 9.0, 4, True),
        (" ", 9.0, 0, False),
        ("", 0.0, 0, True),
    ],
)
def test_page_that_says_nothing_is_refused(
    answer: str, decoded: float, least: int, refused: bool
) -> None:
    report = {
        **{key: [] for key in ("console_errors", "webgpu_errors", "foreign_requests", "answers")},
        "prompt_tokens_equal": True,
        "greedy_agreement": {"dequantized": 1.0},
        "forced_top1_agreement": {"dequantized": 1.0},
        "visit": {"answer": answer},
        "decode_tok_s": decoded,
    }
    found = failures(report, VerifyConf(min_answers=least))
    assert found == (["the page showed an empty answer"] if refused else [])
