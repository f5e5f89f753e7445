"""Own what each stage receives, cut out of a Config by ``registry``."""

from __future__ import annotations

from dataclasses import dataclass, field

from webslm.schema.base import BaseConf, ShapeConf
from webslm.schema.choices import Align, Finetune, Prompts
from webslm.schema.data import DataConf, DomainConf
from webslm.schema.evaluate import EvaluateConf, QuestionsConf
from webslm.schema.library import CompilerConf, QuantConf, RuntimeConf
from webslm.schema.page import AppConf, DecodingConf, HostConf, VerifyConf
from webslm.schema.training import AdapterConf, DpoConf, LaunchConf, LoraConf


@dataclass(frozen=True, kw_only=True)
class DataStageConf:
    """``data``: rows checked and split."""

    data: DataConf


@dataclass(frozen=True, kw_only=True)
class BaseStageConf:
    """``base``: a checkpoint folder."""

    base: BaseConf
    seed: int


@dataclass(frozen=True, kw_only=True)
class InspectStageConf:
    """``inspect``: the rows as the base reads them."""

    lora: LoraConf
    context_window_size: int


@dataclass(frozen=True, kw_only=True)
class FinetuneStageConf:
    """``finetune``: an adapter, or all weights."""

    lora: LoraConf
    seed: int
    method: Finetune = Finetune.lora
    adapter: AdapterConf = field(default_factory=AdapterConf)
    launch: LaunchConf = field(default_factory=LaunchConf)
    quant: QuantConf | None = None
    """The format whose rounding it learns through; None: it knows none."""
    shape: ShapeConf | None = None
    """What says which weights that format rounds."""


@dataclass(frozen=True, kw_only=True)
class AlignStageConf:
    """``align``: an adapter that prefers some answers."""

    dpo: DpoConf
    lora: LoraConf
    seed: int
    method: Finetune = Finetune.lora
    launch: LaunchConf = field(default_factory=LaunchConf)


@dataclass(frozen=True, kw_only=True)
class MergeStageConf:
    """``merge``: adapter and base as one plain checkpoint."""

    dtype: str


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

    shape: ShapeConf


@dataclass(frozen=True, kw_only=True)
class ScaleStageConf:
    """``scale``: the merged checkpoint made ready for its format."""

    shape: ShapeConf
    quant: QuantConf
    rows: int = 64
    """Training rows looked at, evenly spaced."""
    tokens: int = 512
    """Longest start of a row."""


@dataclass(frozen=True, kw_only=True)
class ConvertStageConf:
    """``convert``: quantized shards."""

    shape: ShapeConf
    quant: QuantConf
    shard_bytes: int = 33554432
    tools: dict[str, str] = field(default_factory=dict)
    """Parts of the mlc_llm that packs the weights, with versions; empty: webslm packs them."""
    python: str = "auto"
    """The Python that has those tools."""


@dataclass(frozen=True, kw_only=True)
class ChatConfigStageConf:
    """``chat_config``: mlc-chat-config.json, proved equal to the tokenizer's template."""

    shape: ShapeConf
    quant_name: str
    context_window_size: int
    prefill_chunk_size: int
    decoding: DecodingConf
    template: Prompts = Prompts.block


@dataclass(frozen=True, kw_only=True)
class CompileStageConf:
    """``compile``: the library; knows nothing of weights, data or names."""

    shape: ShapeConf
    quant: QuantConf
    compiler: CompilerConf
    runtime: RuntimeConf
    activations: str | None = None
    """Type that it computes and keeps its cache in; None: the format's."""


@dataclass(frozen=True, kw_only=True)
class GoldenStageConf:
    """``golden``: answers that a device can be tested with."""

    shape: ShapeConf
    quant: QuantConf
    num_prompts: int = 5
    num_follow_ups: int = 1
    max_answer_tokens: int = 128


@dataclass(frozen=True, kw_only=True)
class EvaluateBaseStageConf:
    """``evaluate_base``: what the untuned base makes of the questions."""

    questions: QuestionsConf
    num_prompts: int
    """Trained questions that the browser is asked too."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class EvaluateStageConf:
    """``evaluate``: what every step kept of the fine-tune."""

    evaluate: EvaluateConf
    shape: ShapeConf
    quant: QuantConf
    decoding: DecodingConf
    closing: str | None
    signatures: dict[str, str]
    num_prompts: int
    """Trained questions that the browser is asked too."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class CardConf:
    """What a model card says that no other stage's output holds."""

    base: str
    base_id: str | None
    base_commit: str | None
    base_origin: str | None
    """Where the weights come from, in words; None: as ``base_id`` and ``base_commit`` say."""
    licence: str
    lora: LoraConf
    seed: int
    method: Finetune = Finetune.lora
    align: Align = Align.none


@dataclass(frozen=True, kw_only=True)
class BundleStageConf:
    """``bundle``: the static site."""

    name: str
    app: AppConf
    domain: DomainConf
    runtime: RuntimeConf
    quant: QuantConf
    card: CardConf
    host: HostConf = field(default_factory=HostConf)


@dataclass(frozen=True, kw_only=True)
class VerifyStageConf:
    """``verify``: the browser's proof."""

    verify: VerifyConf
    quant: QuantConf
    browser_min: int


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
