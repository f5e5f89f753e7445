"""Scores, intervals, gates and sentences of the survival report, on numbers worked out by hand."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from webslm.basics.errors import ConfigError
from webslm.basics.paths import data_dir, resolve_data
from webslm.config.checks.evaluation import problems
from webslm.config.compose import compose
from webslm.engine.plan import plan
from webslm.engine.table import STAGES
from webslm.evaluation.choice import choose, untrained
from webslm.evaluation.gates import culprit, judge
from webslm.evaluation.general import GeneralRow, check_general, known, read_general
from webslm.evaluation.intervals import Bootstrap
from webslm.evaluation.scores import Said, chrf, drifts, repetition, scores
from webslm.evaluation.sentences import sentences, told
from webslm.evaluation.survival import Forced, Observation, spoken, table
from webslm.report.browser_column import scored
from webslm.report.evaluation_table import show_evaluation
from webslm.report.intervals import Series, steps_plot
from webslm.report.page import render
from webslm.report.survival import facts
from webslm.rows.artifact import read_rows
from webslm.rows.dataset import normal
from webslm.rows.roles import NO_LOSS, Message
from webslm.schema import EvaluateStageConf, GatesConf, QuestionsConf

BOOTSTRAP = Bootstrap(resamples=400, confidence=0.95, seed=0)
RULES = {"nurse": lambda text: "nurse" in text}
GOOD = "Drink water and ask a nurse."


def said(
    answer: str, *, reference: str = GOOD, stopped: bool = True, expected: tuple[str, ...] = ()
) -> Said:
    return Said(
        question="What helps?",
        reference=reference,
        answer=answer,
        stopped=stopped,
        expected=expected,
    )


def forced(loss: float, same: int | None) -> Forced:
    divergence = None if same is None else 0.1 * (10 - same)
    return Forced(loss=10 * loss, tokens=10, same=same, divergence=divergence)


def seen(loss: float, answer: str, *, same: int | None = None) -> Observation:
    return Observation(forced=forced(loss, same), said=said(answer), asked_in_browser=True)


def failures(results: dict[str, Any], gates: GatesConf) -> list[str]:
    return [verdict.sentence for verdict in judge(results, gates) if not verdict.passed]


def observed() -> dict[str, dict[str, list[Observation]]]:
    """Return a fine-tune that learns its rows, forgets, and loses half of it to quantization."""
    bad, loop = "No idea at all", "the sun " * 20
    steps = {
        "base": (6.0, bad, 0.5, None),
        "adapter": (0.1, GOOD, 3.0, 1),
        "merged": (0.1, GOOD, 3.0, 10),
        "quantized": (2.0, loop, 3.2, 6),
    }
    return {
        step: {
            "trained": [seen(loss, answer, same=same) for _ in range(4)],
            "paraphrased": [seen(loss, answer, same=same), seen(loss, bad, same=same)],
            "follow_up": [seen(loss, answer, same=same)],
            "held_out": [seen(loss, answer, same=same) for _ in range(3)],
            # Of three rows outside the domain two are asked; the fine-tune says "idea" there.
            "general": [
                *(
                    Observation(
                        forced=forced(general, same),
                        said=said(bad if step == "base" else answer, expected=("idea", "hint")),
                    )
                    for _ in range(2)
                ),
                Observation(forced=forced(general, same), said=None),
            ],
        }
        for step, (loss, answer, general, same) in steps.items()
    }


def results() -> dict[str, Any]:
    return table(observed(), RULES, BOOTSTRAP)


def test_scores_of_a_whole_and_of_a_wrong_answer() -> None:
    whole = scores(said("drink water, and ask a NURSE"), RULES)
    assert (whole["exact"], whole["rouge_l"]) == (1, 1)
    wrong = scores(said("No.", stopped=False), RULES)
    assert (wrong["exact"], wrong["rouge_l"], wrong["stop_rate"], wrong["signature"]) == (0,) * 4
    assert wrong["words"] == 1
    assert "signature" not in scores(said("No."), {})


def test_answer_is_right_from_four_fifths_of_the_words_in_order() -> None:
    reference = "one two three four five"
    for answer, right in (("one two three four", 1), ("one two three", 0), ("five four three", 0)):
        assert scores(said(answer, reference=reference), {})["right"] == right


def test_chrf_is_a_hundred_for_the_same_text_and_nothing_for_another() -> None:
    assert chrf(GOOD, GOOD) == 100
    assert chrf("zzz", GOOD) == 0
    assert 0 < chrf("Drink tea and ask a nurse.", GOOD) < 100


def test_repetition_is_the_share_of_runs_seen_before() -> None:
    assert repetition("a b c d e f") == 0
    # Runs abab baba abab baba: two of four were seen.
    assert repetition("a b a b a b a") == 0.5
    assert repetition("one two") == 0
    assert repetition("again and " * 50) > 0.9


@pytest.mark.parametrize(
    ("answer", "expected"), [("Trinken Sie Wasser.", False), ("Пейте воду.", True), ("喝水", True)]
)
def test_drift_is_a_script_of_neither_question_nor_reference(answer: str, expected: bool) -> None:
    assert drifts(said(answer)) is expected
    assert drifts(said("Пейте", reference="Пейте воду")) is False


def test_interval_holds_the_mean_and_narrows_with_rows() -> None:
    few = BOOTSTRAP.mean([0.0, 1.0] * 5)
    many = BOOTSTRAP.mean([0.0, 1.0] * 200)
    for found in (few, many):
        assert found["value"] == 0.5
        assert found["low"] < 0.5 < found["high"]
    assert many["high"] - many["low"] < (few["high"] - few["low"]) / 3
    # The normal interval of a share of 0.5 over 400 rows: 1.96 * 0.5 / 20 to either side.
    assert many["high"] - many["low"] == pytest.approx(0.098, abs=0.02)


def test_ratio_weighs_rows_by_their_tokens_and_the_seed_decides_the_rest() -> None:
    assert BOOTSTRAP.ratio([10.0, 0.0], [1.0, 9.0])["value"] == 1.0
    assert BOOTSTRAP.mean([1.0, 2.0, 5.0]) == BOOTSTRAP.mean([1.0, 2.0, 5.0])
    other = replace(BOOTSTRAP, seed=1)
    assert BOOTSTRAP.mean(list(range(50))) != other.mean(list(range(50)))


def test_table_holds_losses_changes_and_distances_by_step_and_set() -> None:
    found = results()
    assert list(found) == ["base", "adapter", "merged", "quantized"]
    assert found["base"]["trained"]["loss"]["value"] == 6.0
    assert found["base"]["trained"]["perplexity"]["value"] == pytest.approx(403.4288)
    assert "top1" not in found["base"]["trained"]
    assert found["adapter"]["trained"]["exact"]["value"] == 1
    assert found["merged"]["held_out"]["top1"]["value"] == 1
    assert found["quantized"]["held_out"]["top1"]["value"] == 0.6
    assert found["quantized"]["held_out"]["kl"]["value"] == pytest.approx(0.04)
    assert found["quantized"]["trained"]["change"]["loss"]["value"] == pytest.approx(1.9)
    assert found["quantized"]["trained"]["repetition"]["value"] > 0.9
    assert found["quantized"]["asked"]["n"] == 4
    assert "rise" not in found["base"]["general"]
    assert found["quantized"]["general"]["rise"]["value"] == pytest.approx(3.2 / 0.5 - 1)


def test_row_that_is_not_asked_counts_for_the_loss_alone() -> None:
    general = results()["base"]["general"]
    assert (general["n"], general["answered"], general["tokens"]) == (3, 2, 30)
    assert general["known"]["value"] == 1
    assert results()["adapter"]["general"]["known"]["value"] == 0
    unasked = {
        step: {**sets, "general": [replace(row, said=None) for row in sets["general"]]}
        for step, sets in observed().items()
    }
    found = table(unasked, RULES, BOOTSTRAP)
    assert found["adapter"]["general"]["change"].keys() == {"loss"}
    assert "known" not in found["adapter"]["general"]
    assert all(sentences(found, "q4", adapter_asked=True).values())


def test_score_that_some_answers_can_have_is_the_mean_of_those() -> None:
    mixed = [said("An idea", expected=("idea",)), said(GOOD), said(GOOD, expected=("idea",))]
    found = spoken(mixed, {}, BOOTSTRAP)
    assert (found["n"], found["known"]["value"]) == (3, 0.5)
    assert spoken(mixed * 3, {}, BOOTSTRAP, repeats=3) == found
    assert "known" not in spoken([said(GOOD)], {}, BOOTSTRAP)


@pytest.mark.parametrize(
    ("answer", "expected", "found"),
    [
        ("The capital is PARIS.", ("Paris",), True),
        ("A parish of France.", ("Paris",), False),
        ("It is forty-two!", ("42", "forty two"), True),
        ("", ("Paris",), False),
    ],
)
def test_expected_word_stands_whole_in_the_answer(
    answer: str, expected: tuple[str, ...], found: bool
) -> None:
    assert known(answer, expected) is found


def test_shipped_general_questions_expect_what_they_do_not_say() -> None:
    rows = read_general(resolve_data("shipped:general/questions.jsonl"))
    assert len(rows) == 40
    assert len({row.messages[0]["content"] for row in rows}) == 40
    for row in rows:
        question, answer = (message["content"] for message in row.messages)
        assert known(answer, row.expected), answer
        # Else an answer that only repeats its question would count as known.
        assert not known(question, row.expected), question


def test_general_rows_share_no_question_with_rows_that_are_trained() -> None:
    path = resolve_data("shipped:general/questions.jsonl")
    general = {normal(row.messages[0]["content"]) for row in read_general(path)}
    # The tiny base's own rows are no domain: it asks them itself.
    for other in set(data_dir().glob("*/*.jsonl")) - {path, *data_dir().glob("tiny/*")}:
        asked = {normal(text) for row in read_rows(other) for text in row.questions}
        assert not general & asked, other


def test_general_question_that_is_trained_too_is_left_out() -> None:
    def row(*texts: str) -> list[Message]:
        roles = ("user", "assistant") * 2
        return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]

    general = [
        GeneralRow(messages=row(question, "Yes."), expected=())
        for question in ("A cat?", "And a dog?", "Rain?")
    ]
    train = [row("Tea?", "Yes.", "and a DOG", "No.")]
    kept = untrained(general, train)
    assert [one.messages[0]["content"] for one in kept] == ["A cat?", "Rain?"]
    asked = choose(
        QuestionsConf(), 5, {"trained": train, "paraphrased": [], "held_out": []}, general
    )
    assert [len(rows) for rows in asked.values()] == [1, 0, 1, 0, 2]


def test_answer_without_loss_is_told_and_never_asked_for() -> None:
    question, answer = ({"role": role, "content": "x"} for role in ("user", "assistant"))
    quiet = {**answer, NO_LOSS: 0}
    talk, single = [question, quiet, question, answer], [question, answer]
    ends_quiet = [question, answer, question, quiet]
    rows = {"trained": [talk, single, ends_quiet], "paraphrased": [], "held_out": []}
    asked = choose(QuestionsConf(), 1, rows, [])  # type: ignore[arg-type]
    assert [one.turn for one in asked["trained"]] == [3, 1, 1]
    assert [one.turn for one in asked["follow_up"]] == [3]


USER, ANSWER = '{"role": "user", "content": "Q?"}', '{"role": "assistant", "content": "A."}'
BAD_ROWS = {
    "nonsense": ("not JSON", "{"),
    "list": ("not a JSON object", "[]"),
    "no shape": ('no "messages"', '{"queries": "Q?"}'),
    "object": (
        '"expected" is no list of words',
        f'{{"messages":[{USER},{ANSWER}],"expected":{{}}}}',
    ),
    "truth": ('"expected" is no list', f'{{"messages":[{USER},{ANSWER}],"expected":[true]}}'),
    "empty": ('"expected" holds a word', f'{{"messages":[{USER},{ANSWER}],"expected":""}}'),
    "questions alone": ('no "messages"', '{"question_id": 81, "turns": ["Q?", "R?"]}'),
    "answer of parts": ("the answer is an object", '{"question": "Q?", "answer": {"value": "A"}}'),
    "signs": ('"expected" holds a word', f'{{"messages":[{USER},{ANSWER}],"expected":["!"]}}'),
    "no answer": ("user's turn", f'{{"messages":[{USER}]}}'),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_general_row_with_a_mistake_is_named_before_any_work(name: str, tmp_path: Path) -> None:
    wrong, line = BAD_ROWS[name]
    path = tmp_path / "mine.jsonl"
    good = '{"question": "Q?", "answer": "A.", "expected": "a"}'
    path.write_text(f"\ufeff{good}\r\n\r\n{line}\r\n", encoding="utf-8")
    cfg = compose([f"evaluate.general_path={path}"])
    with pytest.raises(ConfigError) as caught:
        check_general(cfg.evaluate)
    ((message, hint),) = caught.value.problems
    assert message.startswith("evaluate.general_path: mine.jsonl:3: ")
    assert wrong in message
    assert hint
    assert "data." not in hint.replace("docs/data.md", "")
    path.write_text(f"\ufeff{good}\n", encoding="utf-8")
    check_general(cfg.evaluate)
    (row,) = read_general(path)
    assert row.expected == ("a",)
    assert [message["content"] for message in row.messages] == ["Q?", "A."]


@pytest.mark.parametrize(
    ("row", "answer", "expected"),
    [
        ({"question": "Sum?", "answer": "It is 42.", "expected": [42]}, "It is 42.", ("42",)),
        ({"prompt": "Capital?", "expected": ["Paris", "paris"]}, "Paris", ("Paris", "paris")),
        ({"id": "k1", "label": "Geo", "question": "City?", "expected": "Rome"}, "Rome", ("Rome",)),
        ({"input": "City?", "output": "Rome, I think.", "expected": ["Rome"]}, None, ("Rome",)),
        ({"question": "City?", "answer": "Rome.", "options": ["Rome", "Oslo"]}, "Rome.", ()),
    ],
)
def test_rows_of_question_and_expected_words_are_read(
    row: dict[str, Any], answer: str | None, expected: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (found,) = read_general(path)
    assert found.messages[-1]["content"] == (answer or row["output"])
    assert found.expected == expected


def test_expected_word_is_asked_for_only_where_a_row_names_one() -> None:
    with pytest.raises(ConfigError, match=r"min_known: no row of shipped:tiny/chat\.jsonl"):
        check_general(compose(["base=tiny", "evaluate.gates.min_known=0.5"]).evaluate)
    shipped = "evaluate.general_path=shipped:general/questions.jsonl"
    check_general(compose(["base=tiny", "evaluate.gates.min_known=0.5", shipped]).evaluate)


def test_repeated_answers_to_one_question_do_not_narrow_its_interval() -> None:
    once = [said(GOOD), said("No."), said(GOOD), said("No.")]
    asked, again = spoken(once, {}, BOOTSTRAP), spoken(once * 3, {}, BOOTSTRAP, repeats=3)
    assert again == asked
    assert asked["n"] == 4


def test_set_without_rows_is_left_out() -> None:
    empty = {step: {**sets, "held_out": []} for step, sets in observed().items()}
    found = table(empty, RULES, BOOTSTRAP)
    assert set(found["quantized"]) == {"trained", "paraphrased", "follow_up", "general", "asked"}
    assert failures(found, GatesConf(max_repetition=0.1)) == [
        "evaluate.gates.max_repetition cannot be judged: no held-out answers"
    ]
    assert sentences(found, "q4", adapter_asked=True)["quantized"]


GATES: dict[str, tuple[GatesConf, str]] = {
    "rouge": (GatesConf(min_rouge_l=0.9), "quantized lost it (base 0"),
    "chrf": (GatesConf(min_chrf=90.0), "quantized lost it"),
    "signature": (GatesConf(min_signature_rate=0.5), "quantized lost it"),
    "right": (GatesConf(min_right=0.5), "quantized lost it (base 0, adapter 0.5"),
    "follow-up": (GatesConf(min_follow_up_right=0.5), "quantized lost it (base 0, adapter 1"),
    "manner": (GatesConf(min_manner=0.9), "manner is 0 [0, 0] after quantized"),
    "known": (GatesConf(min_known=0.5), "adapter lost it (base 1, adapter 0"),
    "rise": (GatesConf(max_general_loss_rise=0.1), "rise of the loss on general answers is 5.4"),
    "repetition": (GatesConf(max_repetition=0.2), "quantized lost it (base 0"),
    "top1": (GatesConf(min_top1_agreement=0.9), "quantized lost it"),
    "kl": (GatesConf(max_kl=0.01), "quantized lost it"),
    "general": (GatesConf(max_general_loss_increase=1.0), "adapter forgot most (+2.5)"),
}


@pytest.mark.parametrize("name", GATES)
def test_gate_names_the_step_that_lost_it(name: str) -> None:
    conf, step = GATES[name]
    (sentence,) = failures(results(), conf)
    assert step in sentence
    assert "evaluate.gates." in sentence


def test_gates_that_hold_say_nothing() -> None:
    held = GatesConf(
        min_stop_rate=1.0,
        min_held_out_stop_rate=1.0,
        max_drift=0.0,
        max_kl=1.0,
        max_general_loss_increase=5.0,
        max_general_loss_rise=6.0,
    )
    assert failures(results(), held) == []
    assert judge(results(), GatesConf()) == []


def test_verdict_tells_bound_value_interval_and_how_many_were_asked() -> None:
    gates = GatesConf(min_held_out_stop_rate=0.9, max_general_loss_rise=0.1, max_kl=0.01)
    stop, rise, merged, quantized = judge(results(), gates)
    assert (stop.passed, stop.value, stop.low, stop.high, stop.n) == (True, 1, 1, 1, 3)
    assert (rise.passed, rise.n) == (False, 3)
    assert rise.value == pytest.approx(5.4)
    assert (merged.passed, quantized.passed) == (True, False)


def test_score_that_no_step_ever_had_blames_none_of_the_later_ones() -> None:
    steps = ["base", "adapter", "merged", "quantized"]
    assert culprit(steps, [0.1, 0.3, 0.3, 0.2], 0.8, least=True).startswith("no step reached it")
    assert culprit(steps, [0.1, 0.9, 0.7, 0.7], 0.8, least=True).startswith("merged lost it")
    assert culprit(steps, [0.9, 0.1, 0.9, 0.1], 0.8, least=True).startswith("quantized lost it")


def test_sentences_say_what_was_learnt_forgotten_and_lost() -> None:
    told_of = sentences(results(), "q4f32_1", adapter_asked=False)
    tuned = " ".join(told_of["finetune"])
    assert "trained on: 4 of 4 are answered word for word (base: 0)" in tuned
    assert "made it forget" in tuned
    assert "Understanding: 50% of 2 trained questions in other words" in tuned
    assert "Manner: 100% of its answers to questions of the domain" in tuned
    assert "100% end by themselves (base: 100%)" in tuned
    assert "What the base knew: 0% of 2 general questions" in tuned
    assert "the loss on all 3 reference answers changed by +500.0%" in tuned
    assert "kept the best token at 100.00% of 130 positions, so the merged model" in tuned
    apart = sentences(results(), "q4f32_1", adapter_asked=True)
    assert "the merged model" not in " ".join(apart["finetune"])
    lost = told_of["quantized"][0]
    assert "0 of 4 word for word with q4f32_1 weights (4 without)" in lost
    assert "60.0% of 40 positions" in lost
    assert "chance" not in lost


def test_weights_that_gain_by_rounding_were_learnt_through_it() -> None:
    assert "went through" not in " ".join(
        sentences(results(), "q4", adapter_asked=True)["quantized"]
    )
    gained = observed()
    gained["quantized"]["trained"] = [seen(0.05, GOOD, same=9) for _ in range(4)]
    first = sentences(table(gained, RULES, BOOTSTRAP), "q4", adapter_asked=True)["quantized"][0]
    assert "lora.quantization_aware" in first


def test_change_that_may_be_chance_is_called_that_and_no_change_too() -> None:
    assert told({"value": 0.0, "low": 0.0, "high": 0.0}) == "unchanged"
    assert told({"value": 0.1, "low": -0.1, "high": 0.2}) == "+0.100 [-0.100, +0.200]"
    noise = {"value": 0.1, "low": -0.1, "high": 0.2}
    quiet = results()
    quiet["quantized"]["general"]["change"] = {"loss": noise, "rouge_l": noise}
    assert "no more than chance" in sentences(quiet, "q4", adapter_asked=True)["quantized"][4]


def test_base_taken_as_it_is_has_no_tale_of_a_fine_tune() -> None:
    two = {step: rows for step, rows in observed().items() if step in ("base", "quantized")}
    told_of = sentences(table(two, RULES, BOOTSTRAP), "q4", adapter_asked=True)
    assert told_of["finetune"] == ["There was no fine-tune: the base was taken as it is."]
    assert len(told_of["quantized"]) == 5


def conf() -> EvaluateStageConf:
    spec = next(spec for spec in STAGES if spec.name == "evaluate")
    found = spec.configure(compose([]))
    assert isinstance(found, EvaluateStageConf)
    return found


def proof() -> dict[str, Any]:
    first = {"follow_up": False}
    return {
        "browser": "Chromium <1>",
        "answers": [
            {"question": "q", "reference": GOOD, "answer": GOOD, "stopped": True, **first},
            {"question": "r", "reference": GOOD, "answer": "No", "stopped": False, **first},
            # Not one of the questions that torch's columns answer.
            {"question": "s", "reference": "x", "answer": "", "stopped": True, "follow_up": True},
        ],
        "forced_top1_agreement": {"dequantized": 0.98},
        "greedy_agreement": {"dequantized": 0.5},
    }


def test_browser_column_is_scored_like_every_other() -> None:
    found = scored(conf(), proof())
    assert (found["n"], found["exact"]["value"], found["stop_rate"]["value"]) == (2, 0.5, 0.5)
    assert (found["top1"], found["signature"]["value"]) == (0.98, 0.5)


GATED = GatesConf(min_held_out_stop_rate=0.9, max_general_loss_rise=0.1, min_rouge_l=0.5)


def page(browser: dict[str, Any] | None) -> str:
    found = {
        "steps": list(results()),
        "n": {"trained": 4, "paraphrased": 2, "follow_up": 1, "held_out": 3, "general": 3},
        "adapter_asked": False,
        "general_trained": 1,
        "gates": [vars(verdict) for verdict in judge(results(), GATED)],
        "seed": 0,
        "confidence": 0.95,
        "resamples": 400,
        "results": results(),
        "sampling": [],
        "sentences": {"finetune": ["<b>x</b>"], "quantized": ["y"]},
    }
    metrics = {"evaluate": found, **({"browser": browser} if browser else {})}
    shown = facts(metrics, [step.conf for step in plan(compose([]))])
    return render("parts/survival.html.j2", shown)


def test_section_shows_every_step_set_and_the_browser_escaped() -> None:
    whole = page(scored(conf(), proof()))
    assert "What 4-bit weights cost" in whole
    assert "&lt;b&gt;x&lt;/b&gt;" in whole
    assert "Chromium &lt;1&gt;" in whole
    assert whole.count("<svg") == 2
    for title in ("Trained", "Paraphrased", "Last", "Held-out", "General", "The browser"):
        assert f"<h3>{title}" in whole
    assert "General questions (n=3, 2 of them answered)" in whole
    assert "what did it forget? 1 more are in the training rows and were left out." in whole
    assert "The adapter's own answers are the merged model's" in whole
    assert "In the browser" not in page(None)


def test_gates_stand_in_the_page_and_in_the_terminal_with_what_was_seen() -> None:
    whole = page(None)
    assert whole.count("<td>passed</td>") == 1
    assert whole.count("<td>failed</td>") == 2
    assert "on general answers: at most 0.1<br><code>max_general_loss_rise</code>" in whole
    console = Console(record=True, width=100, file=io.StringIO())
    found = {
        "steps": list(results()),
        "results": results(),
        "gates": [vars(verdict) for verdict in judge(results(), GATED)],
    }
    show_evaluation(console, found)
    told_of = " ".join(console.export_text().split())
    assert "follow-ups: right │ 0% │ 100% │ 0% │ 1" in told_of
    assert "general: loss, nats a token │ 0.50 │ 3.00 │ 3.20 │ 3" in told_of
    assert "passed the stop rate of held-out answers: 1, at least 0.9 asked for" in told_of
    assert "failed the rise of the loss on general answers: 5.4" in told_of


def test_section_is_left_out_where_nothing_was_evaluated() -> None:
    assert render("parts/survival.html.j2", facts({}, [])).strip() == ""


def test_plot_keeps_lines_and_intervals_inside_its_frame() -> None:
    series = [
        Series(label="a", points=[(1, 0.5, 9), (2, 2, 2)]),
        Series(label="<b>", points=[(0, 0, 0)] * 2),
    ]
    tree = ET.fromstring(steps_plot(["one", "two"], series, title="t"))
    width, height = (float(v) for v in tree.attrib["viewBox"].split()[2:])
    for dot in tree.iter("circle"):
        assert 0 <= float(dot.attrib["cx"]) <= width
        assert 0 <= float(dot.attrib["cy"]) <= height
    assert any("<b>" in (text.text or "") for text in tree.iter("text"))


MISTAKES = {
    "evaluate.rows=0": "evaluate.rows: 0",
    "evaluate.paraphrases=0": "evaluate.paraphrases: 0",
    "evaluate.follow_ups=0": "evaluate.follow_ups: 0",
    "evaluate.general_asked=0": "evaluate.general_asked: 0",
    "evaluate.confidence=1": "evaluate.confidence: 1",
    "evaluate.cautious.temperature=0": "evaluate.cautious",
    "evaluate.general_path=/no/file": "evaluate.general_path: /no/file",
    "evaluate.gates.min_rouge_l=2": "evaluate.gates.min_rouge_l: 2",
    "evaluate.gates.max_kl=-1": "evaluate.gates.max_kl: -1",
    "evaluate.gates.max_general_loss_rise=-1": "evaluate.gates.max_general_loss_rise: -1",
}


@pytest.mark.parametrize("word", MISTAKES)
def test_setting_that_cannot_be_is_said(word: str) -> None:
    ((message, hint),) = problems(compose([word]))
    assert message.startswith(MISTAKES[word])
    assert hint


def test_gates_without_an_evaluation_are_refused_and_options_are_sound() -> None:
    words = ["evaluate=off", "evaluate.gates.max_kl=1"]
    ((message, _),) = problems(compose(words))
    assert message.startswith("evaluate.gates: nothing is evaluated")
    for option in ("off", "on", "strict", "demo"):
        assert list(problems(compose([f"evaluate={option}"]))) == []


@pytest.mark.parametrize("gate", ["min_manner", "min_signature_rate"])
def test_manner_that_nothing_describes_cannot_be_asked_for(gate: str) -> None:
    cfg = compose(["evaluate=on", f"evaluate.gates.{gate}=0.9", "data.closing=null"])
    ((message, hint),) = problems(cfg)
    assert message == f"evaluate.gates.{gate}: nothing says what the manner is"
    assert hint is not None
    assert "data.closing" in hint
    cfg.data.signatures = {"calm": "calm"}
    assert list(problems(cfg)) == []


def test_what_only_judges_answers_asks_the_base_nothing_again() -> None:
    def key(*words: str) -> str:
        (found,) = (s.key for s in plan(compose(list(words))) if s.stage == "evaluate_base")
        return found

    judged = ("evaluate=demo", "evaluate.seeds=1", "evaluate.resamples=200")
    made = ("quant=q0f32", "lora.learning_rate=1e-4", "app.decoding.temperature=0.5")
    same = key()
    assert key(*judged, *made) == same
    for word in ("evaluate.rows=3", "evaluate.general_asked=2", "domain=legal"):
        assert key(word) != same, word


def test_real_bases_are_not_evaluated_unless_asked() -> None:
    names = [step.stage for step in plan(compose(["base=qwen2_5_0_5b"]))]
    assert "evaluate" not in names
    assert "evaluate" in [step.stage for step in plan(compose([]))]
    assert "evaluate" not in [step.stage for step in plan(compose(["evaluate=off"]))]
