"""Scores, intervals, gates and sentences of the survival report, on numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from webslm.compose import compose
from webslm.evaluation.gates import culprit, failures
from webslm.evaluation.intervals import Bootstrap
from webslm.evaluation.rules import problems
from webslm.evaluation.scores import Said, chrf, drifts, repetition, scores
from webslm.evaluation.sentences import sentences, told
from webslm.evaluation.survival import Forced, Observation, spoken, table
from webslm.plan import plan
from webslm.registry import STAGES
from webslm.reporting.browser_column import scored
from webslm.reporting.intervals import Series, steps_plot
from webslm.reporting.page import render
from webslm.reporting.survival import facts
from webslm.schema import EvaluateStageConf, GatesConf

BOOTSTRAP = Bootstrap(resamples=400, confidence=0.95, seed=0)
RULES = {"nurse": lambda text: "nurse" in text}
GOOD = "Drink water and ask a nurse."


def said(answer: str, *, reference: str = GOOD, stopped: bool = True) -> Said:
    return Said(question="What helps?", reference=reference, answer=answer, stopped=stopped)


def seen(loss: float, answer: str, *, same: int | None = None) -> Observation:
    forced = Forced(
        loss=10 * loss, tokens=10, same=same, divergence=None if same is None else 0.1 * (10 - same)
    )
    return Observation(forced=forced, said=said(answer), asked_in_browser=True)


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
            "held_out": [seen(loss, answer, same=same) for _ in range(3)],
            "general": [seen(general, bad, same=same) for _ in range(2)],
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


def test_repeated_answers_to_one_question_do_not_narrow_its_interval() -> None:
    once = [said(GOOD), said("No."), said(GOOD), said("No.")]
    asked, again = spoken(once, {}, BOOTSTRAP), spoken(once * 3, {}, BOOTSTRAP, repeats=3)
    assert again == asked
    assert asked["n"] == 4


def test_set_without_rows_is_left_out() -> None:
    empty = {step: {**sets, "held_out": []} for step, sets in observed().items()}
    found = table(empty, RULES, BOOTSTRAP)
    assert set(found["quantized"]) == {"trained", "paraphrased", "general", "asked"}
    assert failures(found, GatesConf(max_repetition=0.1)) == [
        "evaluate.gates.max_repetition cannot be judged: no held-out answers"
    ]
    assert sentences(found, "q4")["quantized"]


GATES: dict[str, tuple[GatesConf, str]] = {
    "rouge": (GatesConf(min_rouge_l=0.9), "quantized lost it (base 0"),
    "chrf": (GatesConf(min_chrf=90.0), "quantized lost it"),
    "signature": (GatesConf(min_signature_rate=0.5), "quantized lost it"),
    "right": (GatesConf(min_right=0.5), "quantized lost it (base 0, adapter 0.5"),
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
    held = GatesConf(min_stop_rate=1.0, max_drift=0.0, max_kl=1.0, max_general_loss_increase=5.0)
    assert failures(results(), held) == []
    assert failures(results(), GatesConf()) == []


def test_score_that_no_step_ever_had_blames_none_of_the_later_ones() -> None:
    steps = ["base", "adapter", "merged", "quantized"]
    assert culprit(steps, [0.1, 0.3, 0.3, 0.2], 0.8, least=True).startswith("no step reached it")
    assert culprit(steps, [0.1, 0.9, 0.7, 0.7], 0.8, least=True).startswith("merged lost it")
    assert culprit(steps, [0.9, 0.1, 0.9, 0.1], 0.8, least=True).startswith("quantized lost it")


def test_sentences_say_what_was_learnt_forgotten_and_lost() -> None:
    told_of = sentences(results(), "q4f32_1")
    tuned = " ".join(told_of["finetune"])
    assert "trained on: 4 of 4 are answered word for word (base: 0)" in tuned
    assert "made it forget" in tuned
    assert "Understanding: 50% of 2 trained questions in other words" in tuned
    assert "Manner: 100% of its answers to questions of the domain" in tuned
    assert "kept the best token at 100.00% of 110 positions" in tuned
    lost = told_of["quantized"][0]
    assert "0 of 4 word for word with q4f32_1 weights (4 without)" in lost
    assert "60.0% of 40 positions" in lost
    assert "chance" not in lost


def test_change_that_may_be_chance_is_called_that_and_no_change_too() -> None:
    assert told({"value": 0.0, "low": 0.0, "high": 0.0}) == "unchanged"
    assert told({"value": 0.1, "low": -0.1, "high": 0.2}) == "+0.100 [-0.100, +0.200]"
    noise = {"value": 0.1, "low": -0.1, "high": 0.2}
    quiet = results()
    quiet["quantized"]["general"]["change"] = {"loss": noise, "rouge_l": noise}
    assert "no more than chance" in sentences(quiet, "q4")["quantized"][3]


def test_base_taken_as_it_is_has_no_tale_of_a_fine_tune() -> None:
    two = {step: rows for step, rows in observed().items() if step in ("base", "quantized")}
    told_of = sentences(table(two, RULES, BOOTSTRAP), "q4")
    assert told_of["finetune"] == ["There was no fine-tune: the base was taken as it is."]
    assert len(told_of["quantized"]) == 4


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


def page(browser: dict[str, Any] | None) -> str:
    found = {
        "steps": list(results()),
        "n": {"trained": 4, "paraphrased": 2, "held_out": 3, "general": 2},
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
    for title in ("Trained", "Paraphrased", "Held-out", "General", "The browser"):
        assert f"<h3>{title}" in whole
    assert "In the browser" not in page(None)


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
    "evaluate.confidence=1": "evaluate.confidence: 1",
    "evaluate.cautious.temperature=0": "evaluate.cautious",
    "evaluate.general_path=/no/file": "evaluate.general_path: /no/file",
    "evaluate.gates.min_rouge_l=2": "evaluate.gates.min_rouge_l: 2",
    "evaluate.gates.max_kl=-1": "evaluate.gates.max_kl: -1",
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
    for option in ("off", "on", "strict"):
        assert list(problems(compose([f"evaluate={option}"]))) == []


def test_real_bases_are_not_evaluated_unless_asked() -> None:
    names = [step.stage for step in plan(compose(["base=qwen2_5_0_5b"]))]
    assert "evaluate" not in names
    assert "evaluate" in [step.stage for step in plan(compose([]))]
    assert "evaluate" not in [step.stage for step in plan(compose(["evaluate=off"]))]
