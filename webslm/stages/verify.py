"""Own ``verify``: what a real browser says of a bundle, against torch, and the gates.

Two references: the *dequantized* weights, read back from the shards that the browser loads (the
compiler's own faithfulness), and the *merged* checkpoint (what quantization costs).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm.adapters import reference
from webslm.adapters.reference import Greedy
from webslm.adapters.turns import first_learnt
from webslm.compiler.architectures import architecture
from webslm.compiler.page_prompts import chosen_prompts, row_prompts
from webslm.compiler.probes import read_rows, system_prompt_of
from webslm.compiler.prompt_tokens import load
from webslm.delivery import CONFIG
from webslm.errors import VerificationFailed
from webslm.fs import write_text
from webslm.prompts.ends import stop_ids
from webslm.proof import observe
from webslm.proof.machine import check_machine
from webslm.proof.rendering import Wanted, compare
from webslm.proof.scoring import evenly_spaced
from webslm.proof.verdict import REFERENCES, Reference, Row, failures, score
from webslm.schema import VerifyStageConf
from webslm.stage import Context, Metrics
from webslm.stages.convert import dequantized_state

REPORT = "verify.json"
PICTURE = "page.png"


def run(cfg: VerifyStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Measure the bundle, write ``verify.json`` and ``page.png``, and judge.

    Raises:
        EnvironmentMismatch: There is no browser in which the library could run.
        VerificationFailed: The page failed, or a gate did; the numbers then lie in
            ``ctx.log_dir``.
    """
    check_machine(cfg)
    rendered = wanted_prompts(inputs)
    if rendered:
        compare(inputs["bundle"], rendered, cfg, ctx.progress)
    rows = pick_rows(inputs["data"] / "train.jsonl", cfg.verify.num_prompts)
    ctx.progress.note("computing the references in torch")
    references = refer(rows, cfg, inputs)
    runs = [
        observe.Run(question=index, prompt=ref.prompt, continuation=ref.greedy[name].tokens)
        for index, ref in enumerate(references)
        for name in REFERENCES
    ]
    ctx.log_dir.mkdir(parents=True, exist_ok=True)
    picture = ctx.log_dir / PICTURE
    seen = observe.observe(
        inputs["bundle"],
        [row.messages for row in rows],
        runs,
        cfg.verify,
        screenshot=picture,
        minimum=cfg.browser_min,
        progress=ctx.progress,
    )
    report = score(rows, references, seen, cfg.verify)
    if rendered:
        report["rendered_prompts_equal"] = len(rendered)
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    write_text(ctx.log_dir / REPORT, text)
    problems = failures(report, cfg.verify)
    if problems:
        raise VerificationFailed(
            "; ".join(problems),
            hint=f"the measurements are in {ctx.log_dir / REPORT}, the page's picture in {picture}",
            log_path=ctx.log_dir / REPORT,
        )
    write_text(out / REPORT, text)
    shutil.copyfile(picture, out / PICTURE)
    return report


def wanted_prompts(inputs: Mapping[str, Path]) -> list[Wanted]:
    """Return what the page must render itself, by the tokenizer; empty where web-llm renders."""
    site = json.loads((inputs["bundle"] / CONFIG).read_text(encoding="utf-8"))
    if "prompts" not in site["model"]:
        return []
    tokens, data = load(inputs["normalize"]), inputs["data"]
    chats = (
        *row_prompts(read_rows(data)),
        *chosen_prompts(tokens, system_prompt_of(data)),
    )
    return [(where, chat, tokens.prompt(chat)) for where, chat in chats]


def pick_rows(path: Path, count: int) -> list[Row]:
    """Return up to ``count`` rows, evenly spaced over a JSONL file of conversations."""
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    rows = []
    for index in evenly_spaced(len(lines), count):
        messages = json.loads(lines[index])["messages"]
        turn = first_learnt(messages)
        before = [{key: item[key] for key in ("role", "content")} for item in messages[:turn]]
        rows.append(Row(messages=before, answer=messages[turn]["content"]))
    return rows


def refer(rows: Sequence[Row], cfg: VerifyStageConf, inputs: Mapping[str, Path]) -> list[Reference]:
    """Ask the dequantized, the merged and the base model; one is in memory at a time."""
    parameters = architecture(cfg.shape.model_type).parameters(cfg.shape)
    state = dequantized_state(inputs["convert"], parameters, cfg.quant)
    tokenizer = reference.load_tokenizer(inputs["normalize"])
    stops = stop_ids(inputs["normalize"], tokenizer)
    prompts = [reference.prompt_ids(tokenizer, row.messages) for row in rows]

    def greedy(folder: str, count: int, weights: Any = None) -> list[Greedy]:
        model = reference.load_model(inputs[folder], weights)
        return [reference.greedy(model, prompt, count, stops) for prompt in prompts]

    dequantized = greedy("merge", cfg.verify.num_tokens, state)
    del state
    merged = greedy("merge", cfg.verify.num_tokens)
    base = greedy("base", cfg.verify.max_answer_tokens)
    return [
        Reference(
            prompt=prompt,
            greedy={"dequantized": dequantized[index], "merged": merged[index]},
            base_answer=reference.decode(tokenizer, base[index].tokens),
        )
        for index, prompt in enumerate(prompts)
    ]
