"""Own ``verify``: what a real browser says of a bundle, against torch, and the gates.

Two references: the *dequantized* weights, read back from the shards that the browser loads (the
compiler's own faithfulness; stage ``golden``), and the *merged* checkpoint (what quantization
costs).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from webslm.basics import artifact_files, model_files
from webslm.basics.errors import GraphicsDied, VerificationFailed
from webslm.basics.fs import write_text
from webslm.basics.stage import Context, Metrics
from webslm.bundle.delivery import CONFIG
from webslm.bundle.serve import running_server
from webslm.evaluation import answering
from webslm.evaluation.answering import Greedy
from webslm.model.prompts.ends import stop_ids
from webslm.model.prompts.page_prompts import chosen_prompts, row_prompts
from webslm.model.prompts.prompt_tokens import load
from webslm.model.weights.format import Format
from webslm.proof import observe
from webslm.proof.browser import session
from webslm.proof.machine import check_machine
from webslm.proof.questions import TrainedQuestion, asked_rows
from webslm.proof.rendering import Wanted, compare_in
from webslm.proof.verdict import Reference, failures, score
from webslm.proof.webgpu import Offer
from webslm.rows import artifact
from webslm.rows.artifact import located, system_prompt_of
from webslm.rows.picks import evenly_spaced
from webslm.schema import Graphics, VerifyConf, VerifyStageConf
from webslm.training import loaded as reference

REPORT = "verify.json"
PICTURE = "page.png"


def run(cfg: VerifyStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Measure the bundle, write ``verify.json`` and ``page.png``, and judge.

    Raises:
        EnvironmentMismatch: There is no browser in which the library could run.
        VerificationFailed: The page failed, or a gate did; the numbers then lie in
            ``ctx.log_dir``.
    """
    verify = cfg.verify
    offered = check_machine(cfg)
    rendered = wanted_prompts(inputs)
    rows = asked_rows(inputs["data"] / artifact.TRAIN, verify.num_prompts, verify.num_follow_ups)
    ctx.progress.note("torch answers with the merged model and the base")
    references = refer(rows, verify, inputs, read_answers(inputs["golden"]))
    asked = questions(rows, references, verify)
    ctx.log_dir.mkdir(parents=True, exist_ok=True)
    picture = ctx.log_dir / PICTURE

    def prove(graphics: Graphics) -> observe.Proof:
        with (
            running_server(inputs["bundle"], {observe.HARNESS_PREFIX: observe.HARNESS}) as url,
            session(
                verify.browser,
                timeout_s=verify.timeout_s,
                minimum=cfg.browser_min,
                graphics=graphics,
            ) as browser,
        ):
            if rendered:
                page = browser.tab()
                page.open(url)
                compare_in(page, rendered, ctx.progress)
                page.close()
            return observe.observe(
                browser, url, asked, verify, screenshot=picture, progress=ctx.progress
            )

    try:
        seen = prove(offered.graphics)
    except GraphicsDied as exc:
        instead = other_graphics(cfg, offered)
        if instead is None:
            raise
        ctx.log.warning(f"lavapipe died, the proof begins again with SwiftShader: {exc.message}")
        seen = prove(instead)
    report = score(rows, references, seen, verify)
    if rendered:
        report["rendered_prompts_equal"] = len(rendered)
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    write_text(ctx.log_dir / REPORT, text)
    problems = failures(report, verify)
    if problems:
        raise VerificationFailed(
            "; ".join(problems),
            hint=f"the measurements are in {ctx.log_dir / REPORT}, the page's picture in {picture}",
            log_path=ctx.log_dir / REPORT,
        )
    write_text(out / REPORT, text)
    shutil.copyfile(picture, out / PICTURE)
    return report


def other_graphics(cfg: VerifyStageConf, died: Offer) -> Graphics | None:
    """Return what may prove a build in place of graphics that died; None: nothing may."""
    chosen_here = cfg.verify.graphics is Graphics.auto and died.graphics is Graphics.lavapipe
    # SwiftShader has none of the features that a format may need.
    if not chosen_here or Format(cfg.quant).required_features:
        return None
    return Graphics.swiftshader


def wanted_prompts(inputs: Mapping[str, Path]) -> list[Wanted]:
    """Return what the page must render itself, by the tokenizer; empty where web-llm renders."""
    site = json.loads((inputs["bundle"] / CONFIG).read_text(encoding="utf-8"))
    if "prompts" not in site["model"]:
        return []
    tokens, data = load(inputs["normalize"]), inputs["data"]
    chats = (
        *row_prompts(located(data)),
        *chosen_prompts(tokens, system_prompt_of(data)),
    )
    return [(where, chat, tokens.prompt(chat)) for where, chat in chats]


def read_answers(golden: Path) -> list[Greedy]:
    """Return the dequantized model's answers that ``golden`` keeps."""
    stored = json.loads((golden / artifact_files.REFERENCE).read_text(encoding="utf-8"))
    return [
        Greedy(
            tokens=one["tokens"],
            best=[[(token, logit) for token, logit in step] for step in one["best"]],
            stopped=one["stopped"],
        )
        for one in stored
    ]


def refer(
    rows: Sequence[TrainedQuestion],
    verify: VerifyConf,
    inputs: Mapping[str, Path],
    dequantized: Sequence[Greedy],
) -> list[Reference]:
    """Ask the base too, and the merged model at every position of the dequantized one's answers.

    One of them is in memory at a time.
    """
    tokenizer = reference.load_tokenizer(inputs["normalize"])
    stops = stop_ids(inputs["normalize"], tokenizer)
    prompts = [reference.prompt_ids(tokenizer, row.messages) for row in rows]
    model = reference.load_model(inputs["base"])
    base = answering.answers(model, prompts, verify.max_answer_tokens, stops)
    # Without a fine-tune the merged model is the base.
    files = [inputs[name] / model_files.WEIGHTS for name in ("base", "merge")]
    if not (files[0].is_file() and files[1].is_file() and files[0].samefile(files[1])):
        del model
        model = reference.load_model(inputs["merge"])
    return [
        Reference(
            prompt=prompt,
            greedy={
                "dequantized": whole,
                "merged": _along(answering.forced_best(model, prompt, whole.tokens), whole),
            },
            answer=reference.decode(tokenizer, whole.tokens),
            base_answer=reference.decode(tokenizer, said),
        )
        for prompt, whole, (said, _) in zip(prompts, dequantized, base, strict=True)
    ]


def _along(best: observe.Best, answer: Greedy) -> Greedy:
    """Return what a model would say after each start of another's answer.

    Up to the first token that differs this is its own greedy answer.
    """
    return Greedy(tokens=[step[0][0] for step in best], best=best, stopped=answer.stopped)


def questions(
    rows: Sequence[TrainedQuestion], references: Sequence[Reference], verify: VerifyConf
) -> list[observe.Question]:
    """Return what the browser is asked: some of it is to be said token by token as well."""
    said = evenly_spaced(len(rows), verify.num_greedy)
    return [
        observe.Question(
            messages=row.messages,
            prompt=ref.prompt,
            answer=ref.greedy["dequantized"].tokens,
            text=ref.answer,
            stopped=ref.greedy["dequantized"].stopped,
            said=index in said,
        )
        for index, (row, ref) in enumerate(zip(rows, references, strict=True))
    ]
