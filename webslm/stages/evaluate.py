"""``evaluate``: what each step from base to quantized weights makes of the same questions.

The browser's own column follows from ``verify``; the report sets it beside this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.adapters import evaluating, reference, turns
from webslm.adapters.evaluating import Probe, Sampling
from webslm.adapters.torch_mode import reproducible
from webslm.compiler.architectures import architecture
from webslm.corpus.changes import Changes
from webslm.corpus.examination import signatures
from webslm.corpus.source import read as corpus_rows
from webslm.errors import VerificationFailed
from webslm.evaluation.gates import failures
from webslm.evaluation.intervals import Bootstrap
from webslm.evaluation.scores import Said
from webslm.evaluation.sentences import sentences
from webslm.evaluation.survival import SETS, Observation, spoken, table
from webslm.fs import write_text
from webslm.paths import resolve_data
from webslm.prompts.ends import stop_ids
from webslm.proof.scoring import evenly_spaced
from webslm.schema import DataConf, EvaluateStageConf, Loss
from webslm.stage import Context, Metrics
from webslm.stages.convert import dequantized_state

REPORT = "evaluate.json"
ANSWERS = "answers.jsonl"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A row as it is asked and scored."""

    text: str
    reference: str
    probe: Probe
    asked_in_browser: bool


def general_rows(path: Path) -> list[turns.Messages]:
    """Return the conversations of the user's file of general questions.

    Raises:
        ConfigError: Holds one problem per bad row.
    """
    rows = corpus_rows(path, DataConf(), Changes(), "evaluate.general_path")
    return [list(row.messages) for row in rows]


def run(cfg: EvaluateStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Measure every step, write ``evaluate.json`` and ``answers.jsonl``, and judge.

    Raises:
        VerificationFailed: A gate is not passed; the numbers then lie in ``ctx.log_dir``.
        StageFailed: The shards are not those of this shape and format.
    """
    conf = cfg.evaluate
    bootstrap = Bootstrap(resamples=conf.resamples, confidence=conf.confidence, seed=cfg.seed)
    rules = signatures(cfg.closing, cfg.signatures)
    tokenizer = reference.load_tokenizer(inputs["normalize"])
    stops = stop_ids(inputs["normalize"], tokenizer)
    asked = {name: _questions(cfg, inputs, tokenizer, stops, name) for name in SETS}
    seen: dict[str, dict[str, list[Observation]]] = {}
    before, model = None, None
    with reproducible(cfg.seed):
        for done, (step, load) in enumerate(_steps(cfg, inputs)):
            ctx.progress.update(done, 5, step)
            before, model = model, load()
            seen[step] = {
                name: _observe(model, before, questions, cfg, tokenizer, stops)
                for name, questions in asked.items()
            }
        before = None
        ctx.progress.update(4, 5, "sampling")
        sampled = _sweep(model, asked, cfg, tokenizer, stops, bootstrap, seen, rules)
    results = table(seen, rules, bootstrap)
    found: dict[str, Any] = {
        "steps": list(results),
        "n": {name: len(questions) for name, questions in asked.items()},
        "seed": cfg.seed,
        "confidence": conf.confidence,
        "resamples": conf.resamples,
        "results": results,
        "sampling": sampled,
        "sentences": sentences(results, cfg.quant.name),
    }
    problems = failures(results, conf.gates)
    # Failures are not stored: what was measured is kept beside the log.
    for folder in (out, ctx.log_dir) if problems else (out,):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / REPORT, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        write_text(folder / ANSWERS, _answers(seen))
    if problems:
        raise VerificationFailed(
            "; ".join(problems),
            hint=f"the measurements are in {ctx.log_dir / REPORT}",
            log_path=ctx.log_dir / REPORT,
        )
    return found


def _steps(cfg: EvaluateStageConf, inputs: Mapping[str, Path]) -> Iterator[tuple[str, Any]]:
    """Yield the name of each step and how its model is loaded."""
    yield "base", lambda: reference.load_model(inputs["base"])
    if "finetune" in inputs:
        if (inputs["finetune"] / "adapter_config.json").is_file():
            yield "adapter", lambda: evaluating.load_adapter(inputs["base"], inputs["finetune"])
        yield "merged", lambda: reference.load_model(inputs["merge"])
    parameters = architecture(cfg.shape.model_type).parameters(cfg.shape)
    yield (
        "quantized",
        lambda: reference.load_model(
            inputs["merge"], dequantized_state(inputs["convert"], parameters, cfg.quant)
        ),
    )


def _questions(
    cfg: EvaluateStageConf,
    inputs: Mapping[str, Path],
    tokenizer: Any,
    stops: frozenset[int],
    name: str,
) -> list[Question]:
    files = {
        "trained": inputs["data"] / "train.jsonl",
        "paraphrased": inputs["data"] / "paraphrases.jsonl",
        "held_out": inputs["data"] / "held_out.jsonl",
    }
    rows = (
        general_rows(resolve_data(cfg.evaluate.general_path))
        if name == "general"
        else turns.read_rows(files[name])
    )
    # The browser's questions are among the trained ones, so that both can be set side by side.
    browser = set(evenly_spaced(len(rows), cfg.num_prompts)) if name == "trained" else set()
    count = cfg.evaluate.paraphrases if name == "paraphrased" else cfg.evaluate.rows
    chosen = sorted(browser | set(evenly_spaced(len(rows), count)))
    found = []
    for index in chosen:
        messages = rows[index]
        # The first, where the template has answers learnt one by one.
        row = turns.encode(
            tokenizer, messages, number=index + 1, stops=stops, loss=Loss.assistant_only
        )[0]
        turn = turns.first_learnt(messages)
        prompt = turns.prompt_ids(tokenizer, messages[:turn])
        found.append(
            Question(
                text=messages[turn - 1]["content"],
                reference=messages[turn]["content"],
                probe=Probe(input_ids=row.input_ids, labels=row.labels, prompt=prompt),
                asked_in_browser=index in browser,
            )
        )
    return found


def _observe(
    model: Any,
    before: Any | None,
    questions: Sequence[Question],
    cfg: EvaluateStageConf,
    tokenizer: Any,
    stops: frozenset[int],
) -> list[Observation]:
    forced = evaluating.force(model, before, [question.probe for question in questions])
    said = _ask(model, questions, cfg, tokenizer, stops, Sampling(), cfg.seed)
    return [
        Observation(forced=one, said=words, asked_in_browser=question.asked_in_browser)
        for question, one, words in zip(questions, forced, said, strict=True)
    ]


def _ask(
    model: Any,
    questions: Sequence[Question],
    cfg: EvaluateStageConf,
    tokenizer: Any,
    stops: frozenset[int],
    sampling: Sampling,
    seed: int,
) -> list[Said]:
    answers = evaluating.answer(
        model,
        [question.probe.prompt for question in questions],
        stops=stops,
        limit=cfg.evaluate.max_answer_tokens,
        sampling=sampling,
        seed=seed,
    )
    return [
        Said(
            question=question.text,
            reference=question.reference,
            answer=reference.decode(tokenizer, tokens).strip(),
            stopped=stopped,
        )
        for question, (tokens, stopped) in zip(questions, answers, strict=True)
    ]


def _sweep(
    model: Any,
    asked: Mapping[str, Sequence[Question]],
    cfg: EvaluateStageConf,
    tokenizer: Any,
    stops: frozenset[int],
    bootstrap: Bootstrap,
    seen: Mapping[str, Mapping[str, Sequence[Observation]]],
    rules: Any,
) -> list[dict[str, Any]]:
    """Return what ways of sampling do to the quantized model's answers to domain questions."""
    page, low = cfg.decoding, cfg.evaluate.cautious
    ways = {
        "cautious": Sampling(
            temperature=low.temperature,
            top_p=low.top_p,
            repetition_penalty=low.repetition_penalty,
        ),
        "page": Sampling(
            temperature=page.temperature,
            top_p=page.top_p,
            repetition_penalty=page.repetition_penalty,
        ),
    }
    greedy = [row.said for name in ("trained", "held_out") for row in seen["quantized"][name]]
    questions = [question for name in ("trained", "held_out") for question in asked[name]]
    scored = spoken(greedy, rules, bootstrap)
    found = [{"name": "greedy", **vars(Sampling()), **scored, "answers": len(greedy)}]
    for name, way in ways.items():
        said = [
            answer
            for seed in range(cfg.seed, cfg.seed + cfg.evaluate.seeds)
            for answer in _ask(model, questions, cfg, tokenizer, stops, way, seed)
        ]
        scored = spoken(said, rules, bootstrap, repeats=cfg.evaluate.seeds)
        found.append({"name": name, **vars(way), **scored, "answers": len(said)})
    return found


def _answers(seen: Mapping[str, Mapping[str, Sequence[Observation]]]) -> str:
    lines = [
        {"step": step, "set": name, **vars(row.said), "loss": round(row.forced.loss, 4)}
        for step, sets in seen.items()
        for name, rows in sets.items()
        for row in rows
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
