"""``evaluate``: what each step from base to quantized weights makes of the same questions.

The browser's own column follows from ``verify``; the report sets it beside this one.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files, model_files
from webslm.basics.errors import VerificationFailed
from webslm.basics.fs import write_text
from webslm.basics.stage import Context, Metrics
from webslm.evaluation import evaluating, generating
from webslm.evaluation.choice import sampled
from webslm.evaluation.evaluating import Probe, Reading
from webslm.evaluation.gates import judge
from webslm.evaluation.generating import Answer
from webslm.evaluation.intervals import Bootstrap
from webslm.evaluation.questions import (
    Answers,
    Question,
    greedy,
    probes,
    questions,
    said,
    sample,
    trained_general,
    ways,
)
from webslm.evaluation.sentences import sentences
from webslm.evaluation.survival import Observation, Signatures, spoken, table
from webslm.model.architectures import architecture
from webslm.model.prompts.ends import stop_ids
from webslm.rows.examination import signatures
from webslm.schema import EvaluateStageConf
from webslm.stages import evaluate_base
from webslm.stages.convert import dequantized_state
from webslm.training import loaded as reference
from webslm.training.heap import kept
from webslm.training.torch_mode import reproducible

ANSWERS = "answers.jsonl"


def run(cfg: EvaluateStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Measure every step, write ``evaluate.json`` and ``answers.jsonl``, and judge.

    Raises:
        VerificationFailed: A gate is not passed; the numbers then lie in ``ctx.log_dir``.
        StageFailed: The shards are not those of this shape and format.
    """
    conf = cfg.evaluate
    bootstrap = Bootstrap(resamples=conf.resamples, confidence=conf.confidence, seed=cfg.seed)
    rules = signatures(cfg.closing, cfg.signatures)
    with reproducible(cfg.seed), kept():
        survey = _Survey(cfg=cfg, inputs=inputs, ctx=ctx)
        seen = survey.observe()
    results = table(seen, rules, bootstrap)
    verdicts = judge(results, conf.gates)
    found: dict[str, Any] = {
        "steps": list(results),
        "n": {name: len(rows) for name, rows in survey.asked.items()},
        "seed": cfg.seed,
        "confidence": conf.confidence,
        "resamples": conf.resamples,
        "adapter_asked": survey.adapter_asked,
        "general_trained": trained_general(conf, inputs["data"]),
        "results": results,
        "gates": [vars(verdict) for verdict in verdicts],
        "sampling": survey.sampling(seen, rules, bootstrap),
        "sentences": sentences(results, cfg.quant.name, adapter_asked=survey.adapter_asked),
    }
    problems = [verdict.sentence for verdict in verdicts if not verdict.passed]
    # Failures are not stored: what was measured is kept beside the log.
    for folder in (out, ctx.log_dir) if problems else (out,):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(
            folder / artifact_files.EVALUATION,
            json.dumps(found, indent=1, ensure_ascii=False) + "\n",
        )
        write_text(folder / ANSWERS, _answers(seen))
    if problems:
        raise VerificationFailed(
            "; ".join(problems),
            hint=f"the measurements are in {ctx.log_dir / artifact_files.EVALUATION}",
            log_path=ctx.log_dir / artifact_files.EVALUATION,
        )
    return found


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What one step's model makes of the questions."""

    reading: Reading
    answers: Answers


@dataclass(kw_only=True)
class _Survey:
    """The questions on their way through every step's model, of which one is held at a time."""

    cfg: EvaluateStageConf
    inputs: Mapping[str, Path]
    ctx: Context
    adapter_asked: bool = True
    """Whether the adapter answered for itself, or the merged model for it."""
    asked: dict[str, list[Question]] = field(init=False)
    _probes: list[Probe] = field(init=False)
    _tokenizer: Any = field(init=False)
    _stops: frozenset[int] = field(init=False)
    _sampled: dict[str, list[Answer]] = field(init=False)

    def __post_init__(self) -> None:
        self._tokenizer = reference.load_tokenizer(self.inputs["normalize"])
        self._stops = stop_ids(self.inputs["normalize"], self._tokenizer)
        num_prompts, data = self.cfg.num_prompts, self.inputs["data"]
        self.asked = questions(self.cfg.evaluate, num_prompts, data, self._tokenizer, self._stops)
        self._probes = probes(self.asked)

    def observe(self) -> dict[str, dict[str, list[Observation]]]:
        """Return what was seen, by step in build order and by set."""
        found = self._measured()
        forced = evaluating.force([each.reading for each in found.values()], self._probes)
        if "adapter" in found:
            place = list(found).index("merged")
            # Where the merge changed no best token, it would say the same again.
            self.adapter_asked = any(row.same != row.tokens for row in forced[place])
            if self.adapter_asked:
                own = greedy(self._adapter(), self.asked, self._stops)
                found["adapter"].answers.update(own)
        return {
            step: self._observations(rows, each.answers)
            for (step, each), rows in zip(found.items(), map(iter, forced), strict=True)
        }

    def _measured(self) -> dict[str, _Measured]:
        self._begin(0, "base")
        found = {"base": self._base()}
        if "finetune" in self.inputs:
            self._begin(1, "merged")
            merged = self._measure(evaluating.load(self.inputs["merge"]))
            if (self.inputs["finetune"] / model_files.ADAPTER_CONFIG).is_file():
                self._begin(2, "adapter")
                reading = evaluating.read(self._adapter(), self._probes)
                found["adapter"] = _Measured(reading=reading, answers=dict(merged.answers))
            found["merged"] = merged
        self._begin(3, "quantized")
        found["quantized"] = self._quantized()
        return found

    def _begin(self, done: int, what: str) -> None:
        self.ctx.progress.update(done, 5, what)
        # A model is a circle of references: the last one would stay in memory for a while.
        gc.collect()

    def _adapter(self) -> Any:
        return evaluating.load_adapter(self.inputs["base"], self.inputs["finetune"])

    def _quantized(self) -> _Measured:
        shape = self.cfg.shape
        parameters = architecture(shape.model_type).parameters(shape)
        model = evaluating.load(
            self.inputs["merge"],
            dequantized_state(self.inputs["convert"], parameters, self.cfg.quant),
        )
        found = self._measure(model)
        self._begin(4, "sampling")
        rows = [self.asked[name][place] for name, place in self._chosen()]
        self._sampled = sample(model, rows, self.cfg, self._stops)
        return found

    def _base(self) -> _Measured:
        stored = self.inputs["evaluate_base"]
        text = (stored / evaluate_base.ANSWERS).read_text(encoding="utf-8")
        reading = evaluating.load_states(
            stored / evaluate_base.STATES, evaluating.load(self.inputs["base"]), self._probes
        )
        return _Measured(reading=reading, answers=json.loads(text))

    def _measure(self, model: Any) -> _Measured:
        return _Measured(
            reading=evaluating.read(model, self._probes),
            answers=greedy(model, self.asked, self._stops),
        )

    def _observations(
        self, forced: Iterator[Any], answers: Answers
    ) -> dict[str, list[Observation]]:
        return {
            name: [
                Observation(
                    forced=next(forced),
                    said=None if answer is None else said(self._tokenizer, question, answer),
                    asked_in_browser=question.choice.asked_in_browser,
                )
                for question, answer in zip(rows, answers[name], strict=True)
            ]
            for name, rows in self.asked.items()
        }

    def _chosen(self) -> list[tuple[str, int]]:
        sizes = {name: len(rows) for name, rows in self.asked.items()}
        return sampled(sizes, self.cfg.evaluate.sampled)

    def sampling(
        self,
        seen: Mapping[str, Mapping[str, Sequence[Observation]]],
        rules: Signatures,
        bootstrap: Bootstrap,
    ) -> list[dict[str, Any]]:
        """Return what ways of sampling do to the quantized model's answers to domain questions."""
        chosen = self._chosen()
        seeds = self.cfg.evaluate.seeds
        rows = [self.asked[name][place] for name, place in chosen] * seeds
        best = [seen["quantized"][name][place].said for name, place in chosen]
        told = {"greedy": (generating.Sampling(), 1, [said for said in best if said is not None])}
        for name, way in ways(self.cfg).items():
            answers = zip(rows, self._sampled[name], strict=True)
            told[name] = (way, seeds, [said(self._tokenizer, *one) for one in answers])
        return [
            {
                "name": name,
                "answers": len(answers),
                **vars(way),
                **spoken(answers, rules, bootstrap, repeats=repeats),
            }
            for name, (way, repeats, answers) in told.items()
        ]


def _answers(seen: Mapping[str, Mapping[str, Sequence[Observation]]]) -> str:
    lines = [
        {
            "step": step,
            "set": name,
            **({} if row.said is None else vars(row.said)),
            "loss": round(row.forced.loss, 4),
        }
        for step, sets in seen.items()
        for name, rows in sets.items()
        for row in rows
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
