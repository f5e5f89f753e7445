"""Own the stage table: what each stage needs, is configured by and depends on. Import no stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webslm import schema, stage_conf
from webslm.schema import Align, Config, Finetune, Precision, Scale

TRAINING_WHEELS = ("torch", "transformers", "tokenizers", "safetensors")
TRAINING_SOURCES = (
    "adapters/loading.py",
    "adapters/tokenizer.py",
    "adapters/torch_mode.py",
    "adapters/turns.py",
    "prompts",
)
FINETUNE_WHEELS = (*TRAINING_WHEELS, "peft", "trl", "accelerate", "datasets")
FINETUNE_SOURCES = (
    "adapters/trainer.py",
    "adapters/training_rows.py",
    "adapters/augment.py",
    "adapters/methods.py",
    "adapters/sft.py",
    "adapters/order.py",
    "adapters/snapshots.py",
    "adapters/stopping.py",
    "adapters/budget.py",
    "adapters/heap.py",
    "adapters/losses.py",
    "adapters/answers.py",
    "adapters/frozen_layers.py",
    "adapters/low_rank.py",
    "adapters/rounded_weights.py",
    "adapters/shared_start.py",
    *TRAINING_SOURCES,
)
WEIGHT_MAP_SOURCES = ("compiler/architectures", "compiler/weights.py")
CHECKPOINT_SOURCES = (
    "compiler/checkpoint.py",
    "compiler/checkpoint_files.py",
    "compiler/completeness.py",
    "compiler/quantization.py",
    "compiler/safetensors_file.py",
    *WEIGHT_MAP_SOURCES,
)
COMPILER_WHEELS = ("apache-tvm", "apache-tvm-ffi", "ziglang")
ROW_TEXTS = (
    *("runtime.name", "runtime.browser_min", "runtime.allowed"),
    *("runtime.model_types", "runtime.formats", "runtime.older"),
)
"""What a matrix row says of itself and of the machine: no artifact depends on it."""
PROMPT_SOURCES = (
    "prompts",
    "compiler/conversation.py",
    "compiler/chat_template.py",
    "compiler/page_prompts.py",
    "compiler/probes.py",
    "compiler/prompt_tokens.py",
)
MLC_SOURCES = ("adapters/mlc_llm.py", "adapters/mlc_failures.py", "adapters/mlc_probe.py")


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One row of the stage table.

    A stage's work is ``webslm.stages.<name>.run``.
    """

    name: str
    needs: tuple[str, ...] = ()
    configure: Callable[[Config], schema.StageConf]
    sources: tuple[str, ...]
    """Files and folders below ``webslm/`` whose contents enter the key."""
    wheels: tuple[str, ...] = ()
    """Wheels of the matrix row whose versions enter the key."""
    external: tuple[str, ...] = ()
    """Dotted keys of the stage's configuration that name files: contents count, paths do not."""
    ignored: tuple[str, ...] = ()
    """Dotted keys that cannot change the artifact."""
    wanted: Callable[[Config], bool] = lambda _: True
    """Whether a build has this stage; a need that is not wanted is left out of the inputs."""


CONVERT_SOURCES = (
    "stages/convert.py",
    "compiler/shards.py",
    "compiler/conversion.py",
    "compiler/mlc_config.py",
    "compiler/mlc_weights.py",
    *MLC_SOURCES,
    *CHECKPOINT_SOURCES,
)

ASKING_SOURCES = (
    "stages/evaluate_base.py",
    "evaluation/choice.py",
    "evaluation/general.py",
    "evaluation/intervals.py",
    "evaluation/scores.py",
    "evaluation/survival.py",
    "corpus",
    "dataset.py",
    "encoding.py",
    "proof/scoring.py",
    "adapters/evaluating.py",
    "adapters/generating.py",
    "adapters/heap.py",
    "adapters/questions.py",
    "adapters/reference.py",
    "adapters/side_by_side.py",
    *TRAINING_SOURCES,
)
COMPILE_SOURCES = (
    "stages/compile.py",
    "compiler",
    "compilers.py",
    "toolchain.py",
    "worker.py",
    "matrix.py",
    *MLC_SOURCES,
)
COMPILE_IGNORED = (
    *ROW_TEXTS,
    *("runtime.web_llm_integrity", "compiler.python", "compiler.url"),
)


STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        name="data",
        configure=stage_conf.data,
        sources=(
            "stages/data.py",
            "dataset.py",
            "corpus",
            "encoding.py",
            "adapters/hub_rows.py",
        ),
        wheels=("datasketch",),
        external=(
            *("data.path", "data.held_out_path", "data.paraphrases_path"),
            "data.rehearsal_path",
        ),
    ),
    StageSpec(
        name="base",
        configure=lambda cfg: schema.BaseStageConf(base=cfg.base, seed=cfg.seed),
        sources=(
            "stages/base.py",
            "encoding.py",
            "adapters/tiny.py",
            "adapters/heap.py",
            "adapters/losses.py",
            "adapters/gguf_base.py",
            "adapters/gguf_tokenizer.py",
            "adapters/gguf_weights.py",
            "gguf",
            "adapters/hub.py",
            "adapters/hub_cache.py",
            "adapters/random_weights.py",
            "settled_base.py",
            "compiler/checkpoint_folder.py",
            "compiler/vocabulary.py",
            *CHECKPOINT_SOURCES,
            *TRAINING_SOURCES,
        ),
        wheels=(*TRAINING_WHEELS, "gguf"),
        external=("base.tiny.chat_path", "base.tiny.text_paths", "base.path", "base.template_path"),
    ),
    StageSpec(
        name="inspect",
        needs=("data", "base"),
        configure=lambda cfg: schema.InspectStageConf(
            lora=cfg.lora, context_window_size=cfg.compiler.context_window_size
        ),
        sources=(
            "stages/inspect.py",
            "adapters/inspection.py",
            "compiler/vocabulary.py",
            *TRAINING_SOURCES,
        ),
        wheels=("transformers", "tokenizers"),
        wanted=lambda cfg: cfg.finetune is not Finetune.none,
    ),
    StageSpec(
        name="finetune",
        needs=("data", "base"),
        configure=stage_conf.finetune,
        sources=(
            "stages/finetune.py",
            "adapters/adoption.py",
            "adapters/processes.py",
            "adapters/worker.py",
            "compiler/quantization.py",
            "compiler/rounding.py",
            *FINETUNE_SOURCES,
            *WEIGHT_MAP_SOURCES,
        ),
        wheels=FINETUNE_WHEELS,
        external=("adapter.path",),
        ignored=("launch.checkpoint_seconds",),
        wanted=lambda cfg: cfg.finetune is not Finetune.none,
    ),
    StageSpec(
        name="align",
        needs=("data", "base", "finetune"),
        configure=stage_conf.align,
        sources=(
            "stages/align.py",
            "pairs.py",
            "corpus",
            "dataset.py",
            "encoding.py",
            "adapters/dpo.py",
            *FINETUNE_SOURCES,
        ),
        wheels=FINETUNE_WHEELS,
        external=("dpo.path",),
        ignored=("launch.checkpoint_seconds",),
        wanted=lambda cfg: cfg.align is Align.dpo,
    ),
    StageSpec(
        name="merge",
        needs=("base", "finetune", "align", "data"),
        configure=lambda cfg: schema.MergeStageConf(dtype=cfg.base.dtype),
        sources=(
            "stages/merge.py",
            "adapters/merging.py",
            "adapters/reference.py",
            *TRAINING_SOURCES,
        ),
        wheels=(*TRAINING_WHEELS, "peft"),
    ),
    StageSpec(
        name="calibrate",
        needs=("merge", "data"),
        configure=lambda _: schema.CalibrateStageConf(),
        sources=(
            "stages/calibrate.py",
            "adapters/calibration.py",
            "adapters/reference.py",
            *TRAINING_SOURCES,
        ),
        wheels=TRAINING_WHEELS,
        wanted=lambda cfg: cfg.precision is not Precision.declared,
    ),
    StageSpec(
        name="normalize",
        needs=("merge",),
        configure=lambda cfg: schema.NormalizeStageConf(shape=cfg.base.shape),
        sources=("stages/normalize.py", *WEIGHT_MAP_SOURCES),
    ),
    StageSpec(
        name="scale",
        needs=("merge", "normalize", "data"),
        configure=lambda cfg: schema.ScaleStageConf(shape=cfg.base.shape, quant=cfg.quant),
        sources=(
            "stages/scale.py",
            "adapters/scaling.py",
            "adapters/clipping.py",
            "adapters/reference.py",
            *CONVERT_SOURCES,
            *TRAINING_SOURCES,
        ),
        wheels=TRAINING_WHEELS,
        wanted=lambda cfg: cfg.scale is Scale.awq,
    ),
    StageSpec(
        name="convert",
        needs=("merge", "normalize", "scale"),
        configure=stage_conf.convert,
        sources=CONVERT_SOURCES,
        ignored=("python",),
    ),
    StageSpec(
        name="evaluate_base",
        needs=("base", "data"),
        configure=stage_conf.evaluate_base,
        sources=ASKING_SOURCES,
        wheels=TRAINING_WHEELS,
        external=("questions.general_path",),
        wanted=lambda cfg: cfg.evaluate.enabled,
    ),
    StageSpec(
        name="evaluate",
        needs=("base", "evaluate_base", "finetune", "merge", "normalize", "convert", "data"),
        configure=stage_conf.evaluate,
        sources=(
            "stages/evaluate.py",
            "evaluation",
            *ASKING_SOURCES,
            *CONVERT_SOURCES,
        ),
        wheels=(*TRAINING_WHEELS, "peft", "sacrebleu"),
        external=("evaluate.general_path",),
        ignored=("evaluate.name",),
        wanted=lambda cfg: cfg.evaluate.enabled,
    ),
    StageSpec(
        name="convert_base",
        needs=("base",),
        configure=stage_conf.convert,
        sources=("stages/convert_base.py", *CONVERT_SOURCES),
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
        sources=("stages/chat_config.py", *PROMPT_SOURCES),
        wheels=("transformers", "tokenizers"),
    ),
    StageSpec(
        name="compile",
        configure=lambda cfg: stage_conf.library(cfg, COMPILER_WHEELS),
        sources=COMPILE_SOURCES,
        wheels=COMPILER_WHEELS,
        external=("compiler.path",),
        ignored=COMPILE_IGNORED,
    ),
    StageSpec(
        name="compile_f16",
        configure=lambda cfg: stage_conf.library(cfg, COMPILER_WHEELS, "float16"),
        sources=("stages/compile_f16.py", *COMPILE_SOURCES),
        wheels=COMPILER_WHEELS,
        ignored=COMPILE_IGNORED,
        wanted=lambda cfg: cfg.precision is Precision.both,
    ),
    StageSpec(
        name="golden",
        needs=("convert", "normalize", "merge", "data"),
        configure=stage_conf.golden,
        sources=(
            "stages/golden.py",
            "proof/questions.py",
            "proof/scoring.py",
            "adapters/answering.py",
            "adapters/generating.py",
            "adapters/side_by_side.py",
            "adapters/reference.py",
            *TRAINING_SOURCES,
            *CONVERT_SOURCES,
        ),
        wheels=TRAINING_WHEELS,
    ),
    StageSpec(
        name="bundle",
        needs=(
            *("convert", "convert_base", "chat_config", "compile", "compile_f16", "golden"),
            *("evaluate", "finetune", "data"),
        ),
        configure=stage_conf.bundle,
        sources=(
            "stages/bundle.py",
            "delivery.py",
            "hosting.py",
            "fs.py",
            "model_entry.py",
            "page_facts.py",
            "records.py",
            "dataset.py",
            "encoding.py",
            "proof/scoring.py",
            "adapters/npm.py",
            "compiler/wasm/contract.py",
            "http_rules.py",
            "site",
        ),
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
        sources=(
            "stages/verify.py",
            "proof",
            "graphics",
            "serve.py",
            "delivery.py",
            "http_rules.py",
            "compiler/wasm/zig.py",
            "adapters/browser.py",
            "adapters/driver.py",
            "adapters/graphics_process.py",
            "adapters/webgpu.py",
            "adapters/answering.py",
            "adapters/generating.py",
            "adapters/side_by_side.py",
            "adapters/reference.py",
            *PROMPT_SOURCES,
            *TRAINING_SOURCES,
        ),
        wheels=("torch", "transformers", "tokenizers", "playwright"),
        ignored=("verify.browser", "verify.timeout_s"),
    ),
)

STAGE_NAMES = tuple(spec.name for spec in STAGES)
