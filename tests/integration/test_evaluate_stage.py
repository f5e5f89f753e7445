"""``evaluate``: what it says of a small model is what torch says, and a gate names the step."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from tests.integration.architecture_models import SHAPES, random_model
from tests.integration.conftest import SMALL, run_build, stored
from webslm.evaluation import answering, evaluating, generating
from webslm.evaluation.evaluating import Probe
from webslm.evaluation.generating import Answer, Sampling, by_length, shared_prefix
from webslm.evaluation.questions import Question, questions
from webslm.evaluation.side_by_side import has_moving_rotation, side_by_side
from webslm.model.prompts.ends import stop_ids
from webslm.schema import QuestionsConf
from webslm.training import loaded as reference
from webslm.training import turns

WORDS = (
    *SMALL[:-1],
    "evaluate=on",
    "evaluate.rows=3",
    "evaluate.paraphrases=2",
    "evaluate.follow_ups=2",
    "evaluate.general_rows=3",
    "evaluate.general_asked=3",
    "evaluate.seeds=1",
    "evaluate.max_answer_tokens=12",
    "until=evaluate",
    "output_dir=out",
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.make_base(tmp_path_factory.mktemp("evaluate") / "base", seed=2)


@pytest.fixture(scope="module")
def probes(base: Path) -> list[Probe]:
    tokenizer = reference.load_tokenizer(base)
    stops = stop_ids(base, tokenizer)
    found = []
    for number, row in enumerate(training.rows(), 1):
        prompt, answer = turns.encode_last(
            tokenizer, row["messages"][:3], number=number, stops=stops
        )
        found.append(Probe(prompt=prompt, answer=answer))
    return found


def one_by_one(model: Any, probe: Probe) -> Any:
    """Return the logits that predict a probe's answer, read alone and whole."""
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([probe.ids])).logits[0]
    return logits[len(probe.prompt) - 1 : -1]


def test_forced_loss_is_the_one_that_transformers_computes(base: Path, probes: list[Probe]) -> None:
    import torch

    model: Any = reference.load_model(base)
    (losses,) = evaluating.force([evaluating.read(model, probes)], probes)
    for probe, found in zip(probes, losses, strict=True):
        labels = [turns.IGNORED] * len(probe.prompt) + probe.answer
        with torch.inference_mode():
            out = model(input_ids=torch.tensor([probe.ids]), labels=torch.tensor([labels]))
        assert found.tokens == len(probe.answer)
        assert found.loss / found.tokens == pytest.approx(float(out.loss), rel=1e-5)
        assert found.same is None


@pytest.mark.parametrize("name", SHAPES)
def test_head_gives_the_logits_of_the_whole_model(name: str) -> None:
    import torch

    model = random_model(SHAPES[name])
    row = [7, 3, 9, 11, 5, 8]
    rows = [[*row[:3], *row[at:], *row[:at]] for at in range(4)]
    asked = [Probe(prompt=ids[:4], answer=ids[4:]) for ids in rows]
    reading = evaluating.read(evaluating.quickened(model), asked)
    model.set_attn_implementation("eager")
    for states, probe in zip(reading.states, asked, strict=True):
        torch.testing.assert_close(
            reading.head.logits(states), one_by_one(model, probe), rtol=1e-4, atol=1e-4
        )


def test_states_come_back_from_their_file(base: Path, probes: list[Probe], tmp_path: Path) -> None:
    reading = evaluating.read(reference.load_model(base), probes)
    evaluating.save_states(reading, tmp_path / "states.safetensors")
    again = evaluating.load_states(
        tmp_path / "states.safetensors", reference.load_model(base), probes
    )
    assert evaluating.force([again], probes) == evaluating.force([reading], probes)


def test_model_beside_itself_agrees_everywhere_and_beside_another_does_not(
    base: Path, probes: list[Probe]
) -> None:
    model, other = reference.load_model(base), reference.load_model(base)
    for parameter in other.parameters():
        parameter.data = parameter.data.roll(1)
    mine, theirs = evaluating.read(model, probes[:1]), evaluating.read(other, probes[:1])
    _, (same,), (found,) = evaluating.force([mine, mine, theirs], probes[:1])
    assert same.same == same.tokens
    assert same.divergence == pytest.approx(0, abs=1e-4)
    assert found.same is not None
    assert found.same < found.tokens
    assert (found.divergence or 0) > 0.01


def test_logits_in_small_pieces_change_nothing(
    base: Path, probes: list[Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = evaluating.read(reference.load_model(base), probes)
    whole = evaluating.force([reading, reading], probes)
    monkeypatch.setattr(evaluating, "LOGITS", 1)
    for piece, one in zip(evaluating.force([reading, reading], probes), whole, strict=True):
        assert [row.same for row in piece] == [row.same for row in one]
        assert [row.loss for row in piece] == pytest.approx([row.loss for row in one], rel=1e-5)


def alone(model: Any, prompt: list[int], limit: int, stops: frozenset[int]) -> Answer:
    found = answering.greedy(model, prompt, limit, stops)
    return found.tokens[: len(found.tokens) - found.stopped], found.stopped


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_answers_in_batches_are_those_asked_one_by_one(
    base: Path, probes: list[Probe], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = reference.load_model(base)
    stops = stop_ids(base, reference.load_tokenizer(base))
    # A start of their own, one of one token, and limits that end rows at different steps.
    prompts = [*(probe.prompt for probe in probes), probes[0].prompt[-9:], [probes[0].prompt[0]]]
    limits = [1, 4, 10, 3, 10, 7, 10][: len(prompts)]
    monkeypatch.setattr(generating, "BATCH", batch)
    said = generating.answer(
        model, prompts, stops=stops, limits=limits, sampling=Sampling(), seed=0
    )
    assert said == [
        alone(model, prompt, limit, stops) for prompt, limit in zip(prompts, limits, strict=True)
    ]


@pytest.mark.parametrize("name", SHAPES)
def test_rows_that_end_leave_their_batch_and_the_others_go_on(name: str) -> None:
    # Half of the shapes look back eleven tokens, less than these rows grow to; half of the rows
    # begin alike.
    model = random_model(SHAPES[name])
    starts = [[5, 6, 7, at] if at < 16 else [at] for at in range(10, 22)]
    prompts = [[*start, at + 3, *range(2, 2 + at)] for at, start in enumerate(starts, 10)]
    free = [alone(model, prompt, 12, frozenset()) for prompt in prompts]
    # What one row says in the middle ends it there, and others where they say it too.
    stops = frozenset({free[0][0][5], free[3][0][2]})
    expected = [alone(model, prompt, 12, stops) for prompt in prompts]
    assert {stopped for _, stopped in expected} == {True, False}
    evaluating.quickened(model)
    for chosen in (slice(6), slice(12)):
        said = generating.answer(
            model,
            prompts[chosen],
            stops=stops,
            limits=[12] * len(prompts[chosen]),
            sampling=Sampling(),
            seed=0,
        )
        assert said == expected[chosen]


def test_start_is_shared_up_to_the_first_difference_but_no_row_whole() -> None:
    def shared(*rows: list[int], longest: int = 9, window: int | None = None) -> int:
        return shared_prefix(rows, longest=longest, window=window)

    assert shared([1, 2, 3], [1, 2, 4]) == 2
    assert shared([1, 2, 3], [1, 2, 3, 4]) == 2
    assert shared([1, 2, 3]) == 2
    assert shared([1], [1, 2]) == 0
    assert shared([2, 1], [1, 2]) == 0
    assert shared([1, 2, 3], [1, 2, 4], longest=9, window=8) == 0
    assert shared([1, 2, 3], [1, 2, 4], longest=8, window=8) == 2


def test_window_counts_where_a_layer_has_one() -> None:
    found = {name for name in SHAPES if generating.window(random_model(SHAPES[name])) is not None}
    assert found == {"mistral", "gemma2", "gemma3"}


def test_batches_hold_like_lengths_and_nearly_equal_numbers() -> None:
    assert by_length([10, 6, 9, 7, 8], 2) == [[0], [2, 4], [3, 1]]
    assert by_length([8, 9, 10], 24) == [[2], [1, 0]]
    # What would be mostly padding has a batch of its own.
    assert by_length([10, 100, 9, 90, 10], 24) == [[1, 3], [0, 4, 2]]
    assert by_length([7], 24) == [[0]]
    assert by_length([], 24) == []
    sizes = [len(places) for places in by_length([1] * 86, 24)]
    assert (sum(sizes), max(sizes) - min(sizes), len(sizes)) == (86, 1, 4)


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_beside_each_other_say_what_they_say_alone(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    model = random_model(SHAPES["smollm2"])
    prompts = [[3, 4, *range(5, 6 + at)] for at in range(12)]
    way = Sampling(temperature=1.0, top_p=0.9)
    before = torch.get_num_threads()
    monkeypatch.setattr(generating, "BATCH", 3)
    try:
        torch.set_num_threads(threads)
        said = generating.answer(
            model, prompts, stops={1}, limits=[6] * 12, sampling=Sampling(), seed=0
        )
        drawn = [
            generating.answer(model, prompts, stops={1}, limits=[6] * 12, sampling=way, seed=0)
            for _ in range(2)
        ]
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert said == [alone(model, prompt, 6, frozenset({1})) for prompt in prompts]
    assert drawn[0] == drawn[1] != said


def test_batches_come_back_in_order_and_a_mistake_in_one_is_told() -> None:
    model = random_model(SHAPES["smollm2"])
    assert side_by_side(model, lambda batch: batch * 2, [3, 1, 2]) == [6, 2, 4]
    with pytest.raises(ZeroDivisionError):
        side_by_side(model, lambda batch: 1 / batch, [1, 0])


def test_model_that_changes_its_rotation_reads_one_batch_at_a_time() -> None:
    moving = {name for name in SHAPES if has_moving_rotation(random_model(SHAPES[name]))}
    assert moving == {"phi3"}


def test_sampling_follows_its_seed(base: Path, probes: list[Probe]) -> None:
    model: Any = reference.load_model(base)

    def ask(seed: int) -> list[Answer]:
        return generating.answer(
            model,
            [probes[0].prompt] * 4,
            stops={0},
            limits=[8] * 4,
            sampling=Sampling(temperature=1.5, top_p=0.95, repetition_penalty=1.1),
            seed=seed,
        )

    assert ask(1) == ask(1)
    assert ask(1) != ask(2)


def test_penalty_holds_back_what_was_said_and_not_what_was_asked(
    base: Path, probes: list[Probe]
) -> None:
    model: Any = reference.load_model(base)
    prompt = probes[0].prompt
    best = alone(model, prompt, 1, frozenset())[0][0]
    ((said, _),) = generating.answer(
        model,
        [[*prompt, best]],
        stops=frozenset(),
        limits=[12],
        sampling=Sampling(repetition_penalty=1e6),
        seed=0,
    )
    assert len(set(said)) == len(said)
    first = alone(model, [*prompt, best], 1, frozenset())[0]
    assert said[:1] == first


def test_adapter_beside_the_weights_reads_as_the_merged_model(
    base: Path, probes: list[Probe], tmp_path: Path
) -> None:
    data = training.make_data(tmp_path / "data")
    adapter = tmp_path / "adapter"
    training.make_adapter(adapter, base, data)
    training.make_merged(tmp_path / "merged", base, adapter, data)
    readings = [
        evaluating.read(model, probes)
        for model in (
            evaluating.load(base),
            evaluating.load_adapter(base, adapter),
            evaluating.load(tmp_path / "merged"),
        )
    ]
    _, tuned, same = evaluating.force(readings, probes)
    assert sum(row.divergence or 0 for row in tuned) > 0.1
    assert [row.same for row in same] == [row.tokens for row in same]


QUESTIONS = QuestionsConf(rows=3, paraphrases=1, follow_ups=2, general_rows=2, general_asked=1)


@pytest.fixture(scope="module")
def asked(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Question]]:
    folder = tmp_path_factory.mktemp("questions")
    data = training.make_data(folder / "data")
    for name in ("held_out", "paraphrases"):
        (data / f"{name}.jsonl").write_text("", encoding="utf-8")
    general = folder / "general.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": "A cat?"}, {"role": "assistant", "content": "A"}]}
        | {"expected": ["cat"]},
        {"system": "Own.", "question": "A dog?", "answer": "A pet."},
    ]
    general.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tokenizer = reference.load_tokenizer(base)
    conf = replace(QUESTIONS, general_path=str(general))
    return questions(conf, 2, data, tokenizer, stop_ids(base, tokenizer))


def test_follow_up_is_the_last_answer_after_all_that_was_said(
    base: Path, asked: dict[str, list[Question]]
) -> None:
    tokenizer = reference.load_tokenizer(base)
    (last,) = asked["follow_up"]
    told = tokenizer.decode(last.probe.prompt)
    assert told.index(training.ANSWERS["What is salt?"]) < told.index("And pepper?")
    answer = last.probe.answer
    assert tokenizer.decode(answer, skip_special_tokens=True) == "Pepper is a dried berry."
    assert answer[-1] in stop_ids(base, tokenizer)


def test_general_rows_get_the_page_s_system_prompt_and_their_stop_counts_for_nothing(
    base: Path, asked: dict[str, list[Question]]
) -> None:
    tokenizer = reference.load_tokenizer(base)
    first, second = asked["general"]
    assert training.SYSTEM in tokenizer.decode(first.probe.prompt)
    assert training.SYSTEM not in tokenizer.decode(second.probe.prompt)
    assert (first.choice.is_asked, second.choice.is_asked) == (True, False)
    assert first.choice.expected == ("cat",)
    for question in asked["general"]:
        assert not stop_ids(base, tokenizer) & set(question.probe.answer)
        assert question.limit == min(96, 2 * len(question.probe.answer) + 16)


def test_browser_questions_are_among_the_trained_and_empty_sets_stay_empty(
    asked: dict[str, list[Question]],
) -> None:
    assert [row.choice.asked_in_browser for row in asked["trained"]].count(True) == 2
    assert len(asked["trained"]) == 3
    assert asked["held_out"] == asked["paraphrased"] == []


def digests(root: Path) -> dict[str, str]:
    folder = stored(root / "out")["evaluate"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def answers(root: Path) -> str:
    return (stored(root / "out")["evaluate"] / "answers.jsonl").read_text(encoding="utf-8")


def test_build_reports_every_step_twice_the_same_and_a_gate_fails_it(tmp_path: Path) -> None:
    done = run_build(*WORDS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first = digests(tmp_path)
    assert set(first) == {"evaluate.json", "answers.jsonl"}
    assert "what each step kept, in torch" in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    found = report["metrics"]["evaluate"]
    assert found["steps"] == ["base", "adapter", "merged", "quantized"]
    merged = found["results"]["merged"]["trained"]
    assert merged["top1"]["value"] == 1
    assert found["results"]["quantized"]["held_out"]["n"] == 3
    assert found["results"]["quantized"]["paraphrased"]["n"] == 2
    assert found["results"]["quantized"]["follow_up"]["n"] == 2
    assert found["adapter_asked"] is False
    assert found["gates"] == []
    spoken = {
        step: [
            line["answer"]
            for line in map(json.loads, answers(tmp_path).splitlines())
            if line["step"] == step
        ]
        for step in ("base", "adapter", "merged")
    }
    assert spoken["adapter"] == spoken["merged"] != spoken["base"]
    assert [way["name"] for way in found["sampling"]] == ["greedy", "cautious", "page"]
    assert "What 4-bit weights cost" in (tmp_path / "out" / "report.html").read_text()
    lock = json.loads((tmp_path / "out" / "webslm.lock.json").read_text(encoding="utf-8"))
    assert lock["metrics"]["evaluate"] == found

    assert run_build(*WORDS, "force=[evaluate]", cwd=tmp_path).returncode == 0
    assert digests(tmp_path) == first

    # Another judgement of the same answers asks the base nothing again.
    done = run_build(*WORDS, "evaluate=demo", cwd=tmp_path)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "hit evaluate_base" in done.stdout
    told = " ".join(done.stderr.split())
    assert "no step reached it, training is where to look" in told
    assert "evaluate.gates.min_manner asks for at least 0.9" in told
    assert list((tmp_path / "out").glob("runs/*/evaluate.json"))


def test_untuned_base_is_evaluated_without_an_adapter(tmp_path: Path) -> None:
    done = run_build(*WORDS, "finetune=none", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    found = report["metrics"]["evaluate"]
    assert found["steps"] == ["base", "quantized"]
    assert found["sentences"]["finetune"][0].startswith("There was no fine-tune")
