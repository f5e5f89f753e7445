"""``evaluate``: what it says of a small model is what torch says, and a gate names the step."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests import training
from tests.integration.conftest import SMALL, run_build
from webslm.adapters import evaluating, reference, turns
from webslm.adapters.evaluating import Probe, Sampling
from webslm.paths import cache_dir
from webslm.prompts.ends import stop_ids
from webslm.schema import Loss

WORDS = (
    *SMALL[:-1],
    "evaluate=on",
    "evaluate.rows=3",
    "evaluate.paraphrases=2",
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
    for number, row in enumerate(training.rows()):
        messages = row["messages"]
        (ids,) = turns.encode(
            tokenizer, messages, number=number, stops=stops, loss=Loss.assistant_only
        )
        prompt = turns.prompt_ids(tokenizer, messages[:2])
        found.append(Probe(input_ids=ids.input_ids, labels=ids.labels, prompt=prompt))
    return found


def test_forced_loss_is_the_one_that_transformers_computes(base: Path, probes: list[Probe]) -> None:
    import torch

    model: Any = reference.load_model(base)
    for probe, found in zip(probes, evaluating.force(model, None, probes), strict=True):
        with torch.inference_mode():
            out = model(
                input_ids=torch.tensor([probe.input_ids]), labels=torch.tensor([probe.labels])
            )
        assert found.tokens == sum(label != turns.IGNORED for label in probe.labels)
        assert found.loss / found.tokens == pytest.approx(float(out.loss), rel=1e-5)
        assert found.same is None


def test_model_beside_itself_agrees_everywhere_and_beside_another_does_not(
    base: Path, probes: list[Probe]
) -> None:
    model, other = reference.load_model(base), reference.load_model(base)
    (found,) = evaluating.force(model, other, probes[:1])
    assert found.same == found.tokens
    assert found.divergence == pytest.approx(0, abs=1e-4)
    for parameter in other.parameters():
        parameter.data = parameter.data.roll(1)
    (found,) = evaluating.force(model, other, probes[:1])
    assert found.same is not None
    assert found.same < found.tokens
    assert (found.divergence or 0) > 0.01


def test_answers_in_padded_batches_are_those_asked_one_by_one(
    base: Path, probes: list[Probe]
) -> None:
    model: Any = reference.load_model(base)
    stops = stop_ids(base, reference.load_tokenizer(base))
    prompts = [probe.prompt for probe in probes]
    said = evaluating.answer(model, prompts, stops=stops, limit=10, sampling=Sampling(), seed=0)
    for prompt, (tokens, stopped) in zip(prompts, said, strict=True):
        alone = reference.greedy(model, prompt, 10, stops)
        assert stopped == alone.stopped
        assert tokens == alone.tokens[: len(alone.tokens) - alone.stopped]


def test_sampling_follows_its_seed(base: Path, probes: list[Probe]) -> None:
    model: Any = reference.load_model(base)

    def ask(seed: int) -> list[Any]:
        return list(
            evaluating.answer(
                model,
                [probes[0].prompt] * 4,
                stops={0},
                limit=8,
                sampling=Sampling(temperature=1.5, repetition_penalty=1.1),
                seed=seed,
            )
        )

    assert ask(1) == ask(1)
    assert ask(1) != ask(2)


def digests(root: Path) -> dict[str, str]:
    report = json.loads((root / "out" / "report.json").read_text(encoding="utf-8"))
    key = next(step["key"] for step in report["steps"] if step["stage"] == "evaluate")
    folder = cache_dir() / "artifacts" / "evaluate" / key[:16] / "files"
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_build_reports_every_step_twice_the_same_and_a_gate_fails_it(tmp_path: Path) -> None:
    done = run_build(*WORDS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first = digests(tmp_path)
    assert set(first) == {"evaluate.json", "answers.jsonl"}
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    found = report["metrics"]["evaluate"]
    assert found["steps"] == ["base", "adapter", "merged", "quantized"]
    merged = found["results"]["merged"]["trained"]
    assert merged["top1"]["value"] == 1
    assert found["results"]["quantized"]["held_out"]["n"] == 3
    assert found["results"]["quantized"]["paraphrased"]["n"] == 2
    assert [way["name"] for way in found["sampling"]] == ["greedy", "cautious", "page"]
    assert "What 4-bit weights cost" in (tmp_path / "out" / "report.html").read_text()
    lock = json.loads((tmp_path / "out" / "webslm.lock.json").read_text(encoding="utf-8"))
    assert lock["metrics"]["evaluate"] == found

    assert run_build(*WORDS, "force=[evaluate]", cwd=tmp_path).returncode == 0
    assert digests(tmp_path) == first

    done = run_build(*WORDS, "evaluate.gates.min_rouge_l=0.9", cwd=tmp_path)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "no step reached it, training is where to look" in " ".join(done.stderr.split())
    assert list((tmp_path / "out").glob("runs/*/evaluate.json"))


def test_untuned_base_is_evaluated_without_an_adapter(tmp_path: Path) -> None:
    done = run_build(*WORDS, "finetune=none", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    found = report["metrics"]["evaluate"]
    assert found["steps"] == ["base", "quantized"]
    assert found["sentences"]["finetune"][0].startswith("There was no fine-tune")
