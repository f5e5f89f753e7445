"""A small model of random weights, taken through the real stages from data to compile."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests import training
from tests.site_inputs import configuration
from webslm import paths
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
)
from webslm.stage import Context
from webslm.stages import bundle, chat_config, convert, golden, normalize
from webslm.stages import compile as compile_stage

TIMEOUT_S = 120.0
QUANT = QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding="f32-to-bf16")
COMPILER = CompilerConf(context_window_size=256, prefill_chunk_size=64)


def context(root: Path) -> Context:
    """Return a context with this machine's cache, where the runtime objects are built once."""
    return Context(cache_dir=paths.cache_dir(), log_dir=root / "log")


def make_chain(root: Path) -> None:
    """Run every stage from data to compile on an untrained model; merged equals base."""
    ctx = context(root)
    training.make_data(root / "data")
    counts = {"rows": 1, "answer_words_mean": 1.0}
    stats = {"system_prompt": training.SYSTEM, "train": counts, "held_out": counts}
    (root / "data" / "stats.json").write_text(json.dumps(stats))
    (root / "data" / "held_out.jsonl").write_text("")
    training.make_base(root / "base")
    (root / "merge").symlink_to(root / "base", target_is_directory=True)
    for name in ("normalize", "convert", "golden", "chat_config", "compile", "finetune"):
        (root / name).mkdir()
    (root / "finetune" / "train_log.json").write_text('{"steps": 1, "loss": [[1, 2.0]]}')
    inputs = {name: root / name for name in ("data", "base", "merge", "normalize", "convert")}
    shape = training.SHAPE
    normalize.run(NormalizeStageConf(shape=shape), inputs, root / "normalize", ctx)
    convert.run(ConvertStageConf(shape=shape, quant=QUANT), inputs, root / "convert", ctx)
    golden.run(GoldenStageConf(shape=shape, quant=QUANT), inputs, root / "golden", ctx)
    chat = ChatConfigStageConf(
        shape=shape,
        quant_name=QUANT.name,
        context_window_size=COMPILER.context_window_size,
        prefill_chunk_size=COMPILER.prefill_chunk_size,
        decoding=DecodingConf(),
    )
    chat_config.run(chat, inputs, root / "chat_config", ctx)
    row = RuntimeConf(name="row", web_llm="0.2.85", web_llm_integrity="unused")
    conf = CompileStageConf(shape=shape, quant=QUANT, compiler=COMPILER, runtime=row)
    compile_stage.run(conf, {}, root / "compile", ctx)


def make_site(root: Path, out: Path, *, max_tokens: int, chat: Path | None = None) -> Path:
    app = AppConf(
        title="Example", decoding=DecodingConf(temperature=1.0, max_tokens=max_tokens, seed=1)
    )
    cfg = replace(configuration(), app=app)
    names = ("data", "convert", "compile", "golden", "finetune")
    inputs = {name: root / name for name in names}
    inputs["chat_config"] = chat or root / "chat_config"
    bundle.run(cfg, inputs, out, context(root))
    return out
