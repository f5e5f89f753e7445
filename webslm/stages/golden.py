"""Own ``golden``: greedy answers of the shards' own weights, for a device to be tested with.

They are torch's, in float32: a device that says the same computes the library as it should. The
proof takes them whole, the page's self-test the start of some.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files
from webslm.basics.fs import write_text
from webslm.basics.stage import Context, Metrics
from webslm.evaluation import answering
from webslm.evaluation.answering import Greedy
from webslm.model.architectures import architecture
from webslm.model.prompts.ends import stop_ids
from webslm.proof.questions import TrainedQuestion, asked_rows
from webslm.rows import artifact
from webslm.rows.picks import evenly_spaced
from webslm.schema import GoldenStageConf, QuantConf, ShapeConf
from webslm.stages.convert import dequantized_state
from webslm.training import loaded as reference

GAP_DIGITS = 4
SELF_TEST_PROMPTS, SELF_TEST_TOKENS = 3, 16


def run(cfg: GoldenStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write ``reference.json``, whole answers to the proof's questions, and ``golden.json``.

    ``golden.json`` holds per prompt its messages and the answer's first tokens. ``gaps`` are the
    best minus the second-best logit: below a small one, another device may rightly choose the other
    token. The stop token is left out, as the page never sees it.

    Raises:
        StageFailed: The shards are not those of this shape and format.
    """
    rows = asked_rows(inputs["data"] / artifact.TRAIN, cfg.num_prompts, cfg.num_follow_ups)
    ctx.progress.note(f"torch answers {len(rows)} questions with the packed weights")
    found = dequantized_answers(rows, cfg.shape, cfg.quant, inputs, limit=cfg.max_answer_tokens)
    write_text(
        out / artifact_files.REFERENCE, json.dumps([vars(answer) for answer in found]) + "\n"
    )
    tokenizer = reference.load_tokenizer(inputs["normalize"])
    first = [pair for pair in zip(rows, found, strict=True) if not pair[0].follow_up]
    chosen = [first[at] for at in evenly_spaced(len(first), SELF_TEST_PROMPTS)]
    answers = [_self_test(row, said, tokenizer) for row, said in chosen]
    text = json.dumps({"num_tokens": SELF_TEST_TOKENS, "answers": answers}, ensure_ascii=False)
    write_text(out / artifact_files.GOLDEN, text + "\n")
    return {"prompts": len(found), "tokens": sum(len(answer.tokens) for answer in found)}


def dequantized_answers(
    rows: Sequence[TrainedQuestion],
    shape: ShapeConf,
    quant: QuantConf,
    inputs: Mapping[str, Path],
    *,
    limit: int,
) -> list[Greedy]:
    """Return what torch answers to rows with the weights that the shards stand for.

    Args:
        rows: What is asked.
        shape: The model's.
        quant: Its format.
        inputs: Folders of ``convert``, ``merge`` and ``normalize``.
        limit: Tokens after which an answer is cut.
    """
    parameters = architecture(shape.model_type).parameters(shape)
    state = dequantized_state(inputs["convert"], parameters, quant)
    model = reference.load_model(inputs["merge"], state)
    del state
    tokenizer = reference.load_tokenizer(inputs["normalize"])
    stops = stop_ids(inputs["normalize"], tokenizer)
    prompts = [reference.prompt_ids(tokenizer, row.messages) for row in rows]
    return answering.greedy_answers(model, prompts, limit, stops)


def _self_test(row: TrainedQuestion, said: Greedy, tokenizer: Any) -> dict[str, Any]:
    tokens = said.tokens[: len(said.tokens) - said.stopped][:SELF_TEST_TOKENS]
    return {
        "messages": row.messages,
        "tokens": tokens,
        "texts": [tokenizer.decode([token]) for token in tokens],
        "gaps": [round(gap, GAP_DIGITS) for gap in said.gaps[: len(tokens)]],
        "stopped": said.stopped and len(said.tokens) <= SELF_TEST_TOKENS,
    }
