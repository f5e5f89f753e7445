"""Own ``golden``: greedy answers of the shards' own weights, for a device to be tested with.

They are torch's, in float32: a device that says the same computes the library as it should.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webslm.adapters import reference
from webslm.compiler.architectures import architecture
from webslm.dataset import read_rows
from webslm.fs import write_text
from webslm.prompts.ends import stop_ids
from webslm.proof.scoring import evenly_spaced
from webslm.schema import GoldenStageConf
from webslm.stage import Context, Metrics
from webslm.stages.convert import dequantized_state

GOLDEN = "golden.json"
GAP_DIGITS = 4


def run(cfg: GoldenStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write ``golden.json``: per prompt its messages and the answer's tokens.

    ``gaps`` are the best minus the second-best logit: below a small one, another device may
    rightly choose the other token. The stop token is left out, as the page never sees it.

    Raises:
        StageFailed: The shards are not those of this shape and format.
    """
    rows = read_rows(inputs["data"] / "train.jsonl")
    parameters = architecture(cfg.shape.model_type).parameters(cfg.shape)
    state = dequantized_state(inputs["convert"], parameters, cfg.quant)
    model = reference.load_model(inputs["merge"], state)
    tokenizer = reference.load_tokenizer(inputs["normalize"])
    stops = stop_ids(inputs["normalize"], tokenizer)
    chosen = evenly_spaced(len(rows), cfg.num_prompts)
    answers: list[dict[str, Any]] = []
    for done, index in enumerate(chosen):
        ctx.progress.update(done, len(chosen), rows[index].questions[0])
        prompt = _opening(rows[index].messages)
        ids = reference.prompt_ids(tokenizer, prompt)
        said = reference.greedy(model, ids, cfg.num_tokens, stops)
        count = len(said.tokens) - said.stopped
        tokens = said.tokens[:count]
        answers.append(
            {
                "messages": prompt,
                "tokens": tokens,
                "texts": [tokenizer.decode([token]) for token in tokens],
                "gaps": [round(gap, GAP_DIGITS) for gap in said.gaps[:count]],
                "stopped": said.stopped,
            }
        )
    text = json.dumps({"num_tokens": cfg.num_tokens, "answers": answers}, ensure_ascii=False)
    write_text(out / GOLDEN, text + "\n")
    return {"prompts": len(answers), "tokens": sum(len(item["tokens"]) for item in answers)}


def _opening(messages: tuple[dict[str, str], ...]) -> list[dict[str, Any]]:
    """Return what stands before the first answer."""
    turn = next(i for i, message in enumerate(messages) if message["role"] == "assistant")
    return [dict(message) for message in messages[:turn]]
