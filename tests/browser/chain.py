"""A small model of random weights, taken through the real stages from data to verify."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests import training
from tests.integration.architecture_models import random_model
from tests.site_inputs import configuration
from webslm.basics import fs, paths
from webslm.basics.stage import Context, Progress, SilentProgress
from webslm.schema import (
    AppConf,
    ChatConfigStageConf,
    CompilerConf,
    CompileStageConf,
    ConvertStageConf,
    DecodingConf,
    GoldenStageConf,
    NormalizeStageConf,
    QuantConf,
    RuntimeConf,
    ShapeConf,
    VerifyConf,
    VerifyStageConf,
)
from webslm.stages import bundle, chat_config, convert, golden, normalize, verify
from webslm.stages import compile as compile_stage

TIMEOUT_S = 120.0
SILENT = SilentProgress()
QUANT = QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding="f32-to-bf16")
COMPILER = CompilerConf(context_window_size=256, prefill_chunk_size=64)


def context(root: Path) -> Context:
    """Return a context with this machine's cache, where the runtime objects are built once."""
    return Context(cache_dir=paths.cache_dir(), log_dir=root / "log")


def make_chain(
    root: Path,
    quant: QuantConf = QUANT,
    *,
    shape: ShapeConf = training.SHAPE,
    compiler: CompilerConf = COMPILER,
) -> None:
    """Run every stage from data to compile on an untrained model; merged equals base.

    A shape of another architecture gets random weights in place of the base's own.
    """
    ctx = context(root)
    training.make_data(root / "data")
    counts = {"rows": 1, "answer_words_mean": 1.0}
    stats = {"system_prompt": training.SYSTEM, "train": counts, "held_out": counts}
    (root / "data" / "stats.json").write_text(json.dumps(stats))
    (root / "data" / "held_out.jsonl").write_text("")
    training.make_base(root / "base", seed=6)
    if shape is not training.SHAPE:
        random_model(shape, seed=1).save_pretrained(root / "base")
    (root / "merge").symlink_to(root / "base", target_is_directory=True)
    for name in ("normalize", "convert", "golden", "chat_config", "finetune"):
        (root / name).mkdir()
    log = {"steps": 1, "epochs": 1.0, "loss": [[1, 2.0]]}
    (root / "finetune" / "train_log.json").write_text(json.dumps(log))
    inputs = {name: root / name for name in ("data", "base", "merge", "normalize", "convert")}
    normalize.run(NormalizeStageConf(shape=shape), inputs, root / "normalize", ctx)
    convert.run(ConvertStageConf(shape=shape, quant=quant), inputs, root / "convert", ctx)
    golden.run(GoldenStageConf(shape=shape, quant=quant), inputs, root / "golden", ctx)
    chat = ChatConfigStageConf(
        shape=shape,
        quant_name=quant.name,
        context_window_size=compiler.context_window_size,
        prefill_chunk_size=compiler.prefill_chunk_size,
        decoding=DecodingConf(),
    )
    chat_config.run(chat, inputs, root / "chat_config", ctx)
    make_library(root / "compile", quant, shape=shape, compiler=compiler)


def make_library(
    out: Path,
    quant: QuantConf = QUANT,
    *,
    shape: ShapeConf = training.SHAPE,
    compiler: CompilerConf = COMPILER,
) -> Path:
    """Compile the chain's shape into ``out``, with the kernels as they are at this moment."""
    out.mkdir()
    row = RuntimeConf(name="row", web_llm="0.2.85", web_llm_integrity="unused")
    conf = CompileStageConf(shape=shape, quant=quant, compiler=compiler, runtime=row)
    compile_stage.run(conf, {}, out, context(out.parent))
    return out


def make_site(root: Path, out: Path, *, max_tokens: int, **replaced: Path) -> Path:
    """Bundle the chain in ``root``; ``replaced`` names other folders for its stages."""
    app = AppConf(
        title="Example", decoding=DecodingConf(temperature=1.0, max_tokens=max_tokens, seed=1)
    )
    cfg = replace(configuration(), app=app)
    names = ("data", "convert", "chat_config", "compile", "golden", "finetune")
    inputs = {name: root / name for name in names}
    bundle.run(cfg, inputs | replaced, out, context(root))
    return out


def verify_conf(
    quant: QuantConf = QUANT,
    *,
    browser_min: int = 113,
    **changes: object,
) -> VerifyStageConf:
    """Return a small proof's configuration with changes to its ``verify`` group."""
    conf = VerifyConf(
        num_prompts=2,
        num_tokens=6,
        max_answer_tokens=6,
        # Less than the page says, so that Stop is pressed.
        max_visit_tokens=3,
        min_answers=0,
        timeout_s=int(TIMEOUT_S),
    )
    for name, value in changes.items():
        setattr(conf, name, value)
    return VerifyStageConf(verify=conf, quant=quant, browser_min=browser_min)


def run_verify(
    root: Path,
    out: Path,
    cfg: VerifyStageConf,
    *,
    shape: ShapeConf = training.SHAPE,
    progress: Progress = SILENT,
    **replaced: Path,
) -> dict[str, Any]:
    """Prove the chain in ``root``; ``replaced`` names other folders for what verify reads."""
    site = root / "verified"
    if "bundle" not in replaced and not site.exists():
        make_site(root, site, max_tokens=8)
    out.mkdir()
    inputs = {n: root / n for n in ("convert", "normalize", "merge", "base", "data")}
    inputs |= {"bundle": site, "golden": fs.fresh_dir(root, "golden"), **replaced}
    asked = GoldenStageConf(
        shape=shape,
        quant=cfg.quant,
        num_prompts=cfg.verify.num_prompts,
        num_follow_ups=cfg.verify.num_follow_ups,
        max_answer_tokens=cfg.verify.max_answer_tokens,
    )
    golden.run(asked, inputs, inputs["golden"], context(out.parent))
    ctx = replace(context(out.parent), progress=progress)
    return dict(verify.run(cfg, inputs, out, ctx))
