"""Own the stage table: what each stage needs, is configured by and depends on. Import no stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from webslm import schema
from webslm.schema import Config, RuntimeConf

TRAINING_WHEELS = ("torch", "transformers", "tokenizers", "safetensors")
TRAINING_SOURCES = ("adapters/tokenizer.py", "adapters/torch_mode.py", "adapters/turns.py")
WEIGHT_MAP_SOURCES = ("compiler/architectures", "compiler/weights.py")
COMPILER_WHEELS = ("apache-tvm", "apache-tvm-ffi", "ziglang")


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


def _runtime(cfg: Config, wheels: tuple[str, ...]) -> RuntimeConf:
    kept = {name: version for name, version in cfg.runtime.wheels.items() if name in wheels}
    return replace(cfg.runtime, wheels=kept)


def _data(cfg: Config) -> schema.DataStageConf:
    held_out = cfg.data.held_out_path
    if held_out is None and cfg.data.path == cfg.domain.train_path:
        held_out = cfg.domain.held_out_path
    return schema.DataStageConf(data=replace(cfg.data, held_out_path=held_out))


STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        name="data",
        configure=_data,
        sources=("stages/data.py", "dataset.py"),
        external=("data.path", "data.held_out_path"),
    ),
    StageSpec(
        name="base",
        configure=lambda cfg: schema.BaseStageConf(base=cfg.base, seed=cfg.seed),
        sources=("stages/base.py", "adapters/tiny.py", "adapters/hub.py", *TRAINING_SOURCES),
        wheels=TRAINING_WHEELS,
        external=("base.tiny.chat_path", "base.tiny.text_paths"),
    ),
    StageSpec(
        name="finetune",
        needs=("data", "base"),
        configure=lambda cfg: schema.FinetuneStageConf(
            lora=cfg.lora, seed=cfg.seed, launch=cfg.launch
        ),
        sources=(
            "stages/finetune.py",
            "adapters/trainer.py",
            "adapters/sft.py",
            "adapters/processes.py",
            "adapters/worker.py",
            *TRAINING_SOURCES,
        ),
        wheels=(*TRAINING_WHEELS, "peft", "trl", "accelerate", "datasets"),
    ),
    StageSpec(
        name="merge",
        needs=("base", "finetune", "data"),
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
        name="normalize",
        needs=("merge",),
        configure=lambda cfg: schema.NormalizeStageConf(shape=cfg.base.shape),
        sources=("stages/normalize.py", *WEIGHT_MAP_SOURCES),
    ),
    StageSpec(
        name="convert",
        needs=("merge", "normalize"),
        configure=lambda cfg: schema.ConvertStageConf(shape=cfg.base.shape, quant=cfg.quant),
        sources=(
            "stages/convert.py",
            "compiler/quantization.py",
            "compiler/shards.py",
            "compiler/checkpoint.py",
            "compiler/conversion.py",
            *WEIGHT_MAP_SOURCES,
        ),
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
        ),
        sources=(
            "stages/chat_config.py",
            "compiler/conversation.py",
            "compiler/chat_template.py",
            "compiler/prompt_tokens.py",
        ),
        wheels=("transformers", "tokenizers"),
    ),
    StageSpec(
        name="compile",
        configure=lambda cfg: schema.CompileStageConf(
            shape=cfg.base.shape,
            quant=cfg.quant,
            compiler=cfg.compiler,
            runtime=_runtime(cfg, COMPILER_WHEELS),
        ),
        sources=("stages/compile.py", "compiler"),
        wheels=COMPILER_WHEELS,
    ),
    StageSpec(
        name="bundle",
        needs=("convert", "chat_config", "compile", "data"),
        configure=lambda cfg: schema.BundleStageConf(
            name=cfg.name,
            app=cfg.app,
            domain=cfg.domain,
            runtime=_runtime(cfg, ()),
            quant=cfg.quant,
        ),
        sources=("stages/bundle.py", "dataset.py", "adapters/npm.py", "serve.py", "site"),
        external=("domain.knowledge_path",),
        ignored=("domain.train_path", "domain.held_out_path"),
    ),
    StageSpec(
        name="verify",
        needs=("bundle", "convert", "normalize", "merge", "base", "data"),
        configure=lambda cfg: schema.VerifyStageConf(
            verify=cfg.verify,
            shape=cfg.base.shape,
            quant=cfg.quant,
            browser_min=cfg.runtime.browser_min,
        ),
        sources=(
            "stages/verify.py",
            "proof",
            "serve.py",
            "adapters/browser.py",
            "adapters/reference.py",
            *TRAINING_SOURCES,
            "stages/convert.py",
            "compiler/quantization.py",
            "compiler/shards.py",
            "compiler/checkpoint.py",
            "compiler/conversion.py",
            *WEIGHT_MAP_SOURCES,
        ),
        wheels=("torch", "transformers", "tokenizers", "playwright"),
        ignored=("verify.browser", "verify.timeout_s"),
    ),
)

STAGE_NAMES = tuple(spec.name for spec in STAGES)
