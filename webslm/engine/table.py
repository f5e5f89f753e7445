"""Own the stage table: what each stage needs, is configured by and depends on. Import no stage."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webslm import schema
from webslm.engine import cut
from webslm.engine.settled import settled
from webslm.schema import COMPARING, Align, Config, Finetune, Precision, Scale

SOURCES = Path(__file__).with_name("sources.json")
"""Written by ``make generate`` from what the stages import."""
TRAINING_WHEELS = ("torch", "transformers", "tokenizers", "safetensors")
FINETUNE_WHEELS = (*TRAINING_WHEELS, "peft", "trl", "accelerate", "datasets")
COMPILER_WHEELS = ("apache-tvm", "apache-tvm-ffi", "ziglang")


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """One row of the stage table."""

    name: str
    conf: type[schema.StageConf]
    """What it is configured by; the fields say which key of the user's each value is."""
    needs: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    """Wheels of the matrix row whose versions enter the key."""
    wanted: Callable[[Config], bool] = lambda _: True
    """Whether a build has this stage; a need that is not wanted is left out of the inputs."""
    runs: str | None = None
    """The stage whose work it does on other inputs or values; None: its own."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Values of its configuration that it sets itself."""

    @property
    def module(self) -> str:
        """Return the module below ``webslm.stages`` whose ``run`` does the work."""
        return self.runs or self.name

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the files and folders below ``webslm/`` whose contents enter the key."""
        return _sources()[self.name]

    @property
    def external(self) -> tuple[str, ...]:
        """Return the dotted keys of the configuration that name files: only contents count."""
        return cut.external(self.conf)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Return the dotted keys of the configuration that cannot change the artifact."""
        return cut.ignored(self.conf)

    def configure(self, cfg: Config) -> schema.StageConf:
        """Return what the stage sees of a build."""
        conf: schema.StageConf = cut.cut(self.conf, settled(cfg), self.wheels, self.own)
        return conf


@functools.cache
def _sources() -> dict[str, tuple[str, ...]]:
    listed = json.loads(SOURCES.read_text(encoding="utf-8"))
    return {stage: tuple(names) for stage, names in listed.items()}


STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        name="data",
        conf=schema.DataStageConf,
        wheels=("datasketch",),
    ),
    StageSpec(
        name="base",
        conf=schema.BaseStageConf,
        wheels=(*TRAINING_WHEELS, "gguf"),
    ),
    StageSpec(
        name="inspect",
        conf=schema.InspectStageConf,
        needs=("data", "base"),
        wheels=("transformers", "tokenizers"),
        wanted=lambda cfg: cfg.finetune is not Finetune.none,
    ),
    StageSpec(
        name="finetune",
        conf=schema.FinetuneStageConf,
        needs=("data", "base"),
        wheels=FINETUNE_WHEELS,
        wanted=lambda cfg: cfg.finetune is not Finetune.none,
    ),
    StageSpec(
        name="align",
        conf=schema.AlignStageConf,
        needs=("data", "base", "finetune"),
        wheels=FINETUNE_WHEELS,
        wanted=lambda cfg: cfg.align is Align.dpo,
    ),
    StageSpec(
        name="merge",
        conf=schema.MergeStageConf,
        needs=("base", "finetune", "align", "data"),
        wheels=(*TRAINING_WHEELS, "peft"),
    ),
    StageSpec(
        name="calibrate",
        conf=schema.CalibrateStageConf,
        needs=("merge", "data"),
        wheels=TRAINING_WHEELS,
        wanted=lambda cfg: cfg.precision is not Precision.declared,
    ),
    StageSpec(
        name="normalize",
        conf=schema.NormalizeStageConf,
        needs=("merge",),
    ),
    StageSpec(
        name="scale",
        conf=schema.ScaleStageConf,
        needs=("merge", "normalize", "data"),
        wheels=TRAINING_WHEELS,
        wanted=lambda cfg: cfg.scale is Scale.awq,
    ),
    StageSpec(
        name="convert",
        conf=schema.ConvertStageConf,
        needs=("merge", "normalize", "scale"),
    ),
    StageSpec(
        name="evaluate_base",
        conf=schema.EvaluateBaseStageConf,
        needs=("base", "data"),
        wheels=TRAINING_WHEELS,
        wanted=lambda cfg: cfg.evaluate.enabled,
    ),
    StageSpec(
        name="evaluate",
        conf=schema.EvaluateStageConf,
        needs=(
            *("base", "evaluate_base", "finetune", "align", "merge", "normalize", "convert"),
            "data",
        ),
        wheels=(*TRAINING_WHEELS, "peft", "sacrebleu"),
        wanted=lambda cfg: cfg.evaluate.enabled,
    ),
    StageSpec(
        name="convert_base",
        conf=schema.ConvertStageConf,
        runs="convert",
        needs=("base",),
        wanted=lambda cfg: any(mode in COMPARING for mode in cfg.app.modes),
    ),
    StageSpec(
        name="chat_config",
        conf=schema.ChatConfigStageConf,
        needs=("normalize", "data"),
        wheels=("transformers", "tokenizers"),
    ),
    StageSpec(
        name="compile",
        conf=schema.CompileStageConf,
        wheels=COMPILER_WHEELS,
    ),
    StageSpec(
        name="compile_f16",
        conf=schema.CompileStageConf,
        runs="compile",
        own={"activations": "float16"},
        wheels=COMPILER_WHEELS,
        wanted=lambda cfg: cfg.precision is Precision.both,
    ),
    StageSpec(
        name="golden",
        conf=schema.GoldenStageConf,
        needs=("convert", "normalize", "merge", "data"),
        wheels=TRAINING_WHEELS,
    ),
    StageSpec(
        name="bundle",
        conf=schema.BundleStageConf,
        needs=(
            *("convert", "convert_base", "chat_config", "compile", "compile_f16", "golden"),
            *("evaluate", "finetune", "data"),
        ),
    ),
    StageSpec(
        name="verify",
        conf=schema.VerifyStageConf,
        needs=("bundle", "golden", "normalize", "merge", "base", "data"),
        wheels=("torch", "transformers", "tokenizers", "playwright"),
    ),
)

STAGE_NAMES = tuple(spec.name for spec in STAGES)
BY_NAME: Mapping[str, StageSpec] = {spec.name: spec for spec in STAGES}
