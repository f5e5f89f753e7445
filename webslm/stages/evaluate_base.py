"""``evaluate_base``: what the untuned base makes of the questions, once for all its fine-tunes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from webslm.basics.fs import write_text
from webslm.basics.stage import Context, Metrics
from webslm.evaluation import evaluating
from webslm.evaluation.questions import greedy, probes, questions
from webslm.model.prompts.ends import stop_ids
from webslm.schema import EvaluateBaseStageConf
from webslm.training import loaded as reference
from webslm.training.heap import kept
from webslm.training.torch_mode import reproducible

ANSWERS = "answers.json"
STATES = "states.safetensors"


def run(cfg: EvaluateBaseStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write ``answers.json`` (tokens by set) and ``states.safetensors`` (before the head).

    Raises:
        ConfigError: The chat template refuses a row, or one of the general questions is no row.
        StageFailed: A row's prompt or end is not what is trained.
    """
    tokenizer = reference.load_tokenizer(inputs["base"])
    stops = stop_ids(inputs["base"], tokenizer)
    asked = questions(cfg.questions, cfg.num_prompts, inputs["data"], tokenizer, stops)
    with reproducible(cfg.seed), kept():
        ctx.progress.update(0, 2, "reading")
        model = evaluating.load(inputs["base"])
        reading = evaluating.read(model, probes(asked))
        ctx.progress.update(1, 2, "answering")
        answers = greedy(model, asked, stops)
    evaluating.save_states(reading, out / STATES)
    write_text(out / ANSWERS, json.dumps(answers) + "\n")
    said = [answer for rows in answers.values() for answer in rows if answer is not None]
    return {
        "questions": sum(map(len, asked.values())),
        "answers": len(said),
        "tokens": sum(len(tokens) for tokens, _ in said),
    }
