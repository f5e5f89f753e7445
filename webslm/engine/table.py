"""Own the stage table: what each stage needs, is configured by and depends on. Import no stage."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from webslm import schema
from webslm.engine import stage_conf
from webslm.schema import Align, Config, Finetune, Precision, Scale

SOURCES = Path(__file__).with_name("sources.json")
"""Written by ``make generate`` from what the stages import."""
TRAINING_WHEELS = ("torch", "transformers", "tokenizers", "safetensors")
FINETUNE_WHEELS = (*TRAINING_WHEELS, "peft", "trl", "accelerate", "datasets")
COMPILER_WHEELS = ("apache-tvm", "apache-tvm-ffi", "ziglang")
ROW_TEXTS = (
    *("runtime.name", "runtime.browser_min", "runtime.allowed"),
    *("runtime.model_types", "runtime.formats", "runtime.older"),
)
"""What a matrix row says of itself and of the machine: no artifact depends on it."""


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One row of the stage table.

    A stage's work is ``webslm.stages.<name>.run``.
    """

    name: str
    needs: tuple[str, ...] = ()
    configure: Callable[[Config], schema.StageConf]
    wheels: tuple[str, ...] = ()
    """Wheels of the matrix row whose versions enter the key."""
    external: tuple[str, ...] = ()
    """Dotted keys of the stage's configuration that name files: contents count, paths do not."""
    ignored: tuple[str, ...] = ()
    """Dotted keys that cannot change the artifact."""
    wanted: Callable[[Config], bool] = lambda _: True
    """Whether a build has this stage; a need that is not wanted is left out of the inputs."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the files and folders below ``webslm/`` whose contents enter the key."""
        return _sources()[self.name]


COMPILE_IGNORED = (
    *ROW_TEXTS,
    *("runtime.web_llm_integrity", "compiler.python", "compiler.url"),
)


@functools.cache
def _sources() -> dict[str, tuple[str, ...]]:
    listed = json.loads(SOURCES.read_text(encoding="utf-8"))
    return {stage: tuple(names) for stage, names in listed.items()}


STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        name="data",
        configure=stage_conf.data,
        wheels=("datasketch",),
        external=(
            *("data.path", "data.held_out_path", "data.paraphrases_path"),
            "data.rehearsal_path",
        ),
    ),
    StageSpec(
        name="base",
        configure=lambda cfg: schema.BaseStageConf(base=cfg.base, seed=cfg.seed),
        wheels=(*TRAINING_WHEELS, "gguf"),
        external=("base.tiny.chat_path", "base.tiny.text_paths", "base.path", "base.template_path"),
    ),
    StageSpec(
        name="inspect",
        needs=("data", "base"),
        configure=lambda cfg: schema.InspectStageConf(
            lora=cfg.lora, context_window_size=cfg.compiler.context_window_size
        ),
        wheels=("transformers", "tokenizers"),
        wanted=lambda cfg: cfg.finetune is not Finetune.none,
    ),
    StageSpec(
        name="finetune",
        needs=("data", "base"),
        configure=stage_conf.finetune,
        wheels=FINETUNE_WHEELS,
        external=("adapter.path",),
        ignored=("launch.checkpoint_seconds",),
        wanted=lambda cfg: cfg.finetune is not Finetune.none,
    ),
    StageSpec(
        name="align",
        needs=("data", "base", "finetune"),
        configure=stage_conf.align,
        wheels=FINETUNE_WHEELS,
        external=("dpo.path",),
        ignored=("launch.checkpoint_seconds",),
        wanted=lambda cfg: cfg.align is Align.dpo,
    ),
    StageSpec(
        name="merge",
        needs=("base", "finetune", "align", "data"),
        configure=lambda cfg: schema.MergeStageConf(dtype=cfg.base.dtype),
        wheels=(*TRAINING_WHEELS, "peft"),
    ),
    StageSpec(
        name="calibrate",
        needs=("merge", "data"),
        configure=lambda _: schema.CalibrateStageConf(),
        wheels=TRAINING_WHEELS,
        wanted=lambda cfg: cfg.precision is not Precision.declared,
    ),
    StageSpec(
        name="normalize",
        needs=("merge",),
        configure=lambda cfg: schema.NormalizeStageConf(shape=cfg.base.shape),
    ),
    StageSpec(
        name="scale",
        needs=("merge", "normalize", "data"),
        configure=lambda cfg: schema.ScaleStageConf(shape=cfg.base.shape, quant=cfg.quant),
        wheels=TRAINING_WHEELS,
        wanted=lambda cfg: cfg.scale is Scale.awq,
    ),
    StageSpec(
        name="convert",
        needs=("merge", "normalize", "scale"),
        configure=stage_conf.convert,
        ignored=("python",),
    ),
    StageSpec(
        name="evaluate_base",
        needs=("base", "data"),
        configure=stage_conf.evaluate_base,
        wheels=TRAINING_WHEELS,
        external=("questions.general_path",),
        wanted=lambda cfg: cfg.evaluate.enabled,
    ),
    StageSpec(
        name="evaluate",
        needs=(
            *("base", "evaluate_base", "finetune", "align", "merge", "normalize", "convert"),
            "data",
        ),
        configure=stage_conf.evaluate,
        wheels=(*TRAINING_WHEELS, "peft", "sacrebleu"),
        external=("evaluate.general_path",),
        ignored=("evaluate.name",),
        wanted=lambda cfg: cfg.evaluate.enabled,
    ),
    StageSpec(
        name="convert_base",
        needs=("base",),
        configure=stage_conf.convert,
        ignored=("python",),
        wanted=stage_conf.compares,
    ),
    StageSpec(
        name="chat_config",
        needs=("normalize", "data"),
        configure=lambda cfg: schema.ChatConfigStageConf(
            shape=cfg.base.shape,
            quant_name=cfg.quant.name,
            context_window_size=cfg.compiler.context_window_size,
            prefill_chunk_size=cfg.compiler.prefill_chunk_size,
            decoding=cfg.app.decoding,
            template=cfg.app.template,
        ),
        wheels=("transformers", "tokenizers"),
    ),
    StageSpec(
        name="compile",
        configure=lambda cfg: stage_conf.library(cfg, COMPILER_WHEELS),
        wheels=COMPILER_WHEELS,
        external=("compiler.path",),
        ignored=COMPILE_IGNORED,
    ),
    StageSpec(
        name="compile_f16",
        configure=lambda cfg: stage_conf.library(cfg, COMPILER_WHEELS, "float16"),
        wheels=COMPILER_WHEELS,
        ignored=COMPILE_IGNORED,
        wanted=lambda cfg: cfg.precision is Precision.both,
    ),
    StageSpec(
        name="golden",
        needs=("convert", "normalize", "merge", "data"),
        configure=stage_conf.golden,
        wheels=TRAINING_WHEELS,
    ),
    StageSpec(
        name="bundle",
        needs=(
            *("convert", "convert_base", "chat_config", "compile", "compile_f16", "golden"),
            *("evaluate", "finetune", "data"),
        ),
        configure=stage_conf.bundle,
        external=("domain.knowledge_path",),
        ignored=(
            *("domain.train_path", "domain.held_out_path", "domain.paraphrases_path"),
            *ROW_TEXTS,
        ),
    ),
    StageSpec(
        name="verify",
        needs=("bundle", "golden", "normalize", "merge", "base", "data"),
        configure=stage_conf.verify,
        wheels=("torch", "transformers", "tokenizers", "playwright"),
        ignored=("verify.browser", "verify.timeout_s"),
    ),
)

STAGE_NAMES = tuple(spec.name for spec in STAGES)
