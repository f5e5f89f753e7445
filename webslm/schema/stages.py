"""Own what each stage receives, and of every value which key of the user's it is.

``engine.cut`` reads the declarations: it fills a stage's configuration from the build's, and says
which of it enters the stage's key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from webslm.schema.base import BaseConf, ShapeConf
from webslm.schema.choices import Align, Finetune, Prompts
from webslm.schema.data import DataConf, DomainConf
from webslm.schema.evaluate import EvaluateConf, QuestionsConf
from webslm.schema.library import CompilerConf, QuantConf, RuntimeConf
from webslm.schema.page import AppConf, DecodingConf, HostConf, VerifyConf
from webslm.schema.training import AdapterConf, DpoConf, LaunchConf, LoraConf


@dataclass(frozen=True)
class Key:
    """The value of the dotted key that a user types; a group is narrowed to the field's class.

    A field that bears none is the stage's own: a constant, or a group of fields that bear theirs.
    """

    dotted: str
    files: tuple[str, ...] = ()
    """Parts of the value that name files: contents count, paths do not."""
    ignored: tuple[str, ...] = ()
    """Parts of the value that cannot change the artifact."""


@dataclass(frozen=True)
class Ignored(Key):
    """A value that cannot change the artifact."""


@dataclass(frozen=True)
class Follows(Key):
    """A value that ``engine.settled`` works out; the key is what a user types to change it."""


ROW_TEXTS = ("name", "browser_min", "allowed", "model_types", "formats", "older")
"""What a matrix row says of itself and of the machine: no artifact depends on it."""


@dataclass(frozen=True, kw_only=True)
class DataStageConf:
    """``data``: rows checked and split."""

    data: Annotated[
        DataConf, Key("data", files=("path", "held_out_path", "paraphrases_path", "rehearsal_path"))
    ]


@dataclass(frozen=True, kw_only=True)
class BaseStageConf:
    """``base``: a checkpoint folder."""

    base: Annotated[
        BaseConf, Key("base", files=("tiny.chat_path", "tiny.text_paths", "path", "template_path"))
    ]
    seed: Annotated[int, Key("seed")]


@dataclass(frozen=True, kw_only=True)
class InspectStageConf:
    """``inspect``: the rows as the base reads them."""

    lora: Annotated[LoraConf, Key("lora")]
    context_window_size: Annotated[int, Key("compiler.context_window_size")]


@dataclass(frozen=True, kw_only=True)
class FinetuneStageConf:
    """``finetune``: an adapter, or all weights."""

    lora: Annotated[LoraConf, Key("lora")]
    seed: Annotated[int, Key("seed")]
    method: Annotated[Finetune, Key("finetune")] = Finetune.lora
    adapter: Annotated[AdapterConf, Key("adapter", files=("path",))] = field(
        default_factory=AdapterConf
    )
    launch: Annotated[LaunchConf, Key("launch", ignored=("checkpoint_seconds",))] = field(
        default_factory=LaunchConf
    )
    quant: Annotated[QuantConf | None, Follows("quant")] = None
    """The format whose rounding it learns through; None: it knows none."""
    shape: Annotated[ShapeConf | None, Follows("base.shape")] = None
    """What says which weights that format rounds."""


@dataclass(frozen=True, kw_only=True)
class AlignStageConf:
    """``align``: an adapter that prefers some answers."""

    dpo: Annotated[DpoConf, Key("dpo", files=("path",))]
    lora: Annotated[LoraConf, Key("lora")]
    seed: Annotated[int, Key("seed")]
    method: Annotated[Finetune, Key("finetune")] = Finetune.lora
    launch: Annotated[LaunchConf, Key("launch", ignored=("checkpoint_seconds",))] = field(
        default_factory=LaunchConf
    )


@dataclass(frozen=True, kw_only=True)
class MergeStageConf:
    """``merge``: adapter and base as one plain checkpoint."""

    dtype: Annotated[str, Key("base.dtype")]


@dataclass(frozen=True, kw_only=True)
class CalibrateStageConf:
    """``calibrate``: the precision that activations on real rows allow."""

    rows: int = 16
    """Training rows looked at, evenly spaced."""
    tokens: int = 512
    """Longest start of a row."""


@dataclass(frozen=True, kw_only=True)
class NormalizeStageConf:
    """``normalize``: one spelling of config.json, checked against the declared shape."""

    shape: Annotated[ShapeConf, Key("base.shape")]


@dataclass(frozen=True, kw_only=True)
class ScaleStageConf:
    """``scale``: the merged checkpoint made ready for its format."""

    shape: Annotated[ShapeConf, Key("base.shape")]
    quant: Annotated[QuantConf, Key("quant")]
    rows: int = 64
    """Training rows looked at, evenly spaced."""
    tokens: int = 512
    """Longest start of a row."""


@dataclass(frozen=True, kw_only=True)
class ConvertStageConf:
    """``convert``: quantized shards."""

    shape: Annotated[ShapeConf, Key("base.shape")]
    quant: Annotated[QuantConf, Key("quant")]
    shard_bytes: Annotated[int, Key("host.shard_bytes")] = 33554432
    tools: Annotated[dict[str, str], Key("runtime.tools")] = field(default_factory=dict)
    """Parts of the mlc_llm that packs the weights, with versions; empty: webslm packs them."""
    python: Annotated[str, Ignored("compiler.python")] = "auto"
    """The Python that has those tools."""


@dataclass(frozen=True, kw_only=True)
class ChatConfigStageConf:
    """``chat_config``: mlc-chat-config.json, proved equal to the tokenizer's template."""

    shape: Annotated[ShapeConf, Key("base.shape")]
    quant_name: Annotated[str, Key("quant.name")]
    context_window_size: Annotated[int, Key("compiler.context_window_size")]
    prefill_chunk_size: Annotated[int, Key("compiler.prefill_chunk_size")]
    decoding: Annotated[DecodingConf, Key("app.decoding")]
    template: Annotated[Prompts, Key("app.template")] = Prompts.block


@dataclass(frozen=True, kw_only=True)
class CompileStageConf:
    """``compile``: the library; knows nothing of weights, data or names."""

    shape: Annotated[ShapeConf, Key("base.shape")]
    quant: Annotated[QuantConf, Key("quant")]
    compiler: Annotated[CompilerConf, Key("compiler", files=("path",), ignored=("python", "url"))]
    runtime: Annotated[RuntimeConf, Key("runtime", ignored=(*ROW_TEXTS, "web_llm_integrity"))]
    activations: Annotated[str | None, Follows("precision")] = None
    """Type that it computes and keeps its cache in; None: the format's."""


@dataclass(frozen=True, kw_only=True)
class GoldenStageConf:
    """``golden``: answers that a device can be tested with."""

    shape: Annotated[ShapeConf, Key("base.shape")]
    quant: Annotated[QuantConf, Key("quant")]
    num_prompts: Annotated[int, Key("verify.num_prompts")] = 5
    num_follow_ups: Annotated[int, Key("verify.num_follow_ups")] = 1
    max_answer_tokens: Annotated[int, Key("verify.max_answer_tokens")] = 128


@dataclass(frozen=True, kw_only=True)
class EvaluateBaseStageConf:
    """``evaluate_base``: what the untuned base makes of the questions."""

    questions: Annotated[QuestionsConf, Key("evaluate", files=("general_path",))]
    num_prompts: Annotated[int, Key("verify.num_prompts")]
    """Trained questions that the browser is asked too."""
    seed: Annotated[int, Key("seed")]


@dataclass(frozen=True, kw_only=True)
class EvaluateStageConf:
    """``evaluate``: what every step kept of the fine-tune."""

    evaluate: Annotated[EvaluateConf, Key("evaluate", files=("general_path",), ignored=("name",))]
    shape: Annotated[ShapeConf, Key("base.shape")]
    quant: Annotated[QuantConf, Key("quant")]
    decoding: Annotated[DecodingConf, Key("app.decoding")]
    closing: Annotated[str | None, Key("data.closing")]
    signatures: Annotated[dict[str, str], Key("data.signatures")]
    num_prompts: Annotated[int, Key("verify.num_prompts")]
    """Trained questions that the browser is asked too."""
    seed: Annotated[int, Key("seed")]


@dataclass(frozen=True, kw_only=True)
class CardConf:
    """What a model card says that no other stage's output holds."""

    base: Annotated[str, Key("base.name")]
    base_id: Annotated[str | None, Key("base.hub.id")]
    base_commit: Annotated[str | None, Follows("base.hub.revision")]
    base_origin: Annotated[str | None, Follows("base.source")]
    """Where the weights come from, in words; None: as ``base_id`` and ``base_commit`` say."""
    licence: Annotated[str, Key("base.licence")]
    lora: Annotated[LoraConf, Key("lora")]
    seed: Annotated[int, Key("seed")]
    method: Annotated[Finetune, Key("finetune")] = Finetune.lora
    align: Annotated[Align, Key("align")] = Align.none


@dataclass(frozen=True, kw_only=True)
class BundleStageConf:
    """``bundle``: the static site."""

    name: Annotated[str, Key("name")]
    app: Annotated[AppConf, Key("app")]
    domain: Annotated[
        DomainConf,
        Key(
            "domain",
            files=("knowledge_path",),
            ignored=("train_path", "held_out_path", "paraphrases_path"),
        ),
    ]
    runtime: Annotated[RuntimeConf, Key("runtime", ignored=ROW_TEXTS)]
    quant: Annotated[QuantConf, Key("quant")]
    card: CardConf
    host: Annotated[HostConf, Key("host")] = field(default_factory=HostConf)


@dataclass(frozen=True, kw_only=True)
class VerifyStageConf:
    """``verify``: the browser's proof."""

    verify: Annotated[VerifyConf, Key("verify", ignored=("browser", "timeout_s"))]
    quant: Annotated[QuantConf, Key("quant")]
    browser_min: Annotated[int, Key("runtime.browser_min")]


StageConf = (
    DataStageConf
    | BaseStageConf
    | InspectStageConf
    | FinetuneStageConf
    | AlignStageConf
    | MergeStageConf
    | CalibrateStageConf
    | NormalizeStageConf
    | ScaleStageConf
    | ConvertStageConf
    | ChatConfigStageConf
    | CompileStageConf
    | GoldenStageConf
    | EvaluateBaseStageConf
    | EvaluateStageConf
    | BundleStageConf
    | VerifyStageConf
)
