"""Own the configuration contract: one dataclass per group, one per stage. Do no I/O.

The groups (``Config`` and what it holds) are what a user writes. A stage never sees the whole:
``registry`` cuts a ``<Stage>Conf`` out of it, and exactly that enters the stage's key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING


class BaseSource(Enum):
    """Where a base checkpoint comes from."""

    tiny = "tiny"
    hub = "hub"
    local = "local"


class Weights(Enum):
    """What fills a base's tensors."""

    checkpoint = "checkpoint"
    random = "random"


class Precision(Enum):
    """Who says whether a format computes in float16 or float32."""

    declared = "declared"
    auto = "auto"


class Finetune(Enum):
    """How the base is tuned."""

    lora = "lora"
    none = "none"


class Loss(Enum):
    """Which tokens the fine-tune learns from."""

    assistant_only = "assistant_only"
    full = "full"


class Graphics(Enum):
    """Which WebGPU adapter the proving browser uses."""

    software = "software"
    hardware = "hardware"


class Sharding(Enum):
    """What training processes hold of the base."""

    none = "none"
    fsdp = "fsdp"


class Device(Enum):
    """Where training runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Mode(Enum):
    """A tab of the page."""

    chat = "chat"
    proof = "proof"
    product = "product"
    structured = "structured"


COMPARING = (Mode.proof, Mode.product)
"""Modes that need the untuned base beside the tuned model."""


class Retriever(Enum):
    """How documents are ranked for a question."""

    tfidf = "tfidf"
    bm25 = "bm25"


@dataclass
class DomainConf:
    """What the assistant is about."""

    name: str = MISSING
    title: str = MISSING
    train_path: str = MISSING
    """Chat JSONL; ``shipped:`` paths lie in the package."""
    held_out_path: str | None = None
    knowledge_path: str | None = None
    """JSON list of {id, title, content}."""
    closing: str | None = None
    """Regular expression that the last sentence of every answer must match; null: no rule."""
    disclaimer: str = MISSING
    """Always visible on the page."""
    questions: list[str] = field(default_factory=list)
    """Example questions offered by the page."""


@dataclass
class DataConf:
    """Which rows are learnt."""

    path: str = MISSING
    held_out_path: str | None = None
    """Rows kept out of training; null: a share of ``path`` is split off."""
    held_out_fraction: float = 0.1
    """Share of ``path`` kept out when there is no ``held_out_path``."""
    closing: str | None = None
    seed: int = 0


@dataclass
class RopeScalingConf:
    """How a rotary embedding is stretched: names and meaning as in a config.json."""

    rope_type: str = "default"
    """default, linear, llama3 or longrope."""
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int | None = None
    """Positions before the stretching; longrope's long factors begin there."""
    short_factor: list[float] = field(default_factory=list)
    long_factor: list[float] = field(default_factory=list)
    attention_factor: float | None = None
    """What cosine and sine are multiplied with (longrope); null: follows from the lengths."""


@dataclass
class ShapeConf:
    """What the compiled library depends on: names and meaning as in a Hugging Face config.json."""

    model_type: str = MISSING
    hidden_size: int = MISSING
    intermediate_size: int = MISSING
    num_hidden_layers: int = MISSING
    num_attention_heads: int = MISSING
    num_key_value_heads: int = MISSING
    head_dim: int = MISSING
    vocab_size: int = MISSING
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = True
    attention_bias: bool = True
    """Whether the q, k and v projections have a bias."""
    max_position_embeddings: int = MISSING
    """Longest context the checkpoint was made for, in tokens."""
    hidden_act: str = "silu"
    """Of the gated layer: silu or gelu_pytorch_tanh."""
    rope_scaling: RopeScalingConf = field(default_factory=RopeScalingConf)
    rope_local_base_freq: float | None = None
    """``rope_theta`` of the layers with a sliding window, never scaled; null: as the others."""
    partial_rotary_factor: float = 1.0
    """Share of a head that is rotated."""
    sliding_window: int | None = None
    """Newest tokens, its own included, that a token sees in layers with a sliding window."""
    layer_types: list[str] = field(default_factory=list)
    """full_attention or sliding_attention per layer; empty: sliding when there is a window."""
    attn_logit_softcapping: float | None = None
    final_logit_softcapping: float | None = None
    query_pre_attn_scalar: int | None = None
    """Scores are divided by its square root; null: ``head_dim``."""


@dataclass
class HubConf:
    """A checkpoint on the Hugging Face hub."""

    id: str | None = None
    revision: str | None = None
    """Full commit id; a branch or tag name floats and is refused."""
    trust_remote_code: bool = False


@dataclass
class TinyConf:
    """How the embedded base is made from the shipped text."""

    chat_path: str = "shipped:tiny/chat.jsonl"
    text_paths: list[str] = field(default_factory=list)
    """JSONL of {text} or JSON lists of {title, content}."""
    steps: int = 250
    batch_size: int = 8
    sequence_length: int = 160
    learning_rate: float = 2e-3


@dataclass
class BaseConf:
    """The model that is tuned."""

    name: str = MISSING
    source: BaseSource = MISSING
    licence: str = MISSING
    """SPDX identifier."""
    weights: Weights = Weights.checkpoint
    """random: the shape at full size without a download, to try conversion and compilation."""
    path: str | None = None
    """Checkpoint folder of ``source: local``; the shape is read from its config.json."""
    system_fold: str | None = None
    """For a template without system role (Gemma): what stands between the system message and the
    first user message, which takes it in, on all sides; null: the template's own way."""
    template_date: str = "26 Jul 2024"
    """What a template that asks for today's date is told; a clock would not be reproducible."""
    gated: bool = False
    """Whether the hub asks for an accepted licence and a token."""
    context_window_size: int = 4096
    """Tokens the page's cache holds; never above ``shape.max_position_embeddings``."""
    prefill_chunk_size: int = 1024
    """Longest run of prompt tokens computed at once."""
    dtype: str = "float32"
    """Precision of the merged checkpoint: float32, float16 or bfloat16."""
    shape: ShapeConf = field(default_factory=ShapeConf)
    hub: HubConf = field(default_factory=HubConf)
    tiny: TinyConf = field(default_factory=TinyConf)


@dataclass
class LoraConf:
    """LoRA fine-tuning (trl SFT with peft)."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.05
    target_modules: list[str] = field(default_factory=list)
    epochs: float = 3.0
    learning_rate: float = 2e-4
    batch_size: int = 2
    gradient_accumulation_steps: int = 8
    max_length: int = 1024
    """Longest rendered conversation in tokens; a longer row is an error, never cut silently."""
    lr_scheduler: str = "linear"
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    loss: Loss = Loss.assistant_only
    gradient_checkpointing: bool = False
    device: Device = Device.auto


@dataclass
class LaunchConf:
    """How many processes train together; what is learnt from one batch does not depend on it."""

    processes: int = 1
    """Processes of this machine that share every batch: one GPU each, or CPU cores."""
    sharding: Sharding = Sharding.none
    """none: each holds the base; fsdp: each holds a part (GPUs only)."""


@dataclass
class QuantConf:
    """A weight format as data."""

    name: str = MISSING
    bits: int = MISSING
    """Bits of a weight code; 0: weights are kept in ``dtype``."""
    group_size: int = 32
    """Inputs that share one scale."""
    dtype: str = MISSING
    """Type of activations, scales and what is not quantized: float16 or float32."""
    scale_encoding: str = "raw"
    """How scales lie on disk: raw, or f32-to-bf16 (half the bytes; codes allow for it)."""

    @property
    def required_features(self) -> list[str]:
        """Return the WebGPU features without which the library's shaders do not compile."""
        return ["shader-f16"] if self.dtype == "float16" else []


@dataclass
class CompilerConf:
    """Which compiler makes the library."""

    name: str = "tvm"
    context_window_size: int = 4096
    prefill_chunk_size: int = 1024
    opt_level: int = 2
    """Optimisation level of the library's host code."""
    python: str = "auto"
    """Which Python compiles: ``here`` (this one), ``isolated`` (the row's own environment in the
    cache), ``auto`` (this one where its wheels are the row's, else isolated), or a path."""


@dataclass
class AllowedConf:
    """A range of versions and why it ends there."""

    range: str = MISSING
    """Version specifiers as pip reads them, such as ``>=3.10,<3.14``."""
    reason: str = MISSING


@dataclass
class RuntimeConf:
    """A matrix row: versions that work together."""

    name: str = MISSING
    web_llm: str = MISSING
    web_llm_integrity: str = MISSING
    """npm's sha512 of the package archive."""
    wheels: dict[str, str] = field(default_factory=dict)
    """PyPI name to exact version."""
    browser_min: int = 113
    """Lowest Chromium major version with WebGPU."""
    allowed: dict[str, AllowedConf] = field(default_factory=dict)
    """What may stand in the row, by part: ``python``, ``web_llm`` or a wheel."""


@dataclass
class DecodingConf:
    """How the page samples."""

    temperature: float = 0.7
    top_p: float = 0.8
    repetition_penalty: float = 1.0
    max_tokens: int = 256
    seed: int | None = None


@dataclass
class ProofModeConf:
    """What the page's comparison of base and fine-tune asks."""

    questions: int = 4
    """Questions offered of each split (trained, held out), evenly spaced over its rows."""
    samples: int = 2
    """Answers of each model to each question, unless the visitor chooses otherwise."""


@dataclass
class RetrievalConf:
    """How the page finds passages for the base model."""

    method: Retriever = Retriever.tfidf
    passages: int = 3
    min_score: float = 0.01


@dataclass
class AppConf:
    """The page."""

    name: str = "chat"
    title: str = MISSING
    modes: list[Mode] = field(default_factory=lambda: [Mode.chat])
    """Tabs, in order; proof and product add the base's weights to the site."""
    decoding: DecodingConf = field(default_factory=DecodingConf)
    proof: ProofModeConf = field(default_factory=ProofModeConf)
    retrieval: RetrievalConf = field(default_factory=RetrievalConf)
    answer_schema: dict[str, Any] = field(default_factory=dict)
    """JSON Schema that the structured mode starts with."""


@dataclass
class HostConf:
    """Where the site will lie, as far as sizes go."""

    name: str = "static"
    max_file_bytes: int | None = None
    """Largest file that the host takes; null: no limit."""
    max_site_bytes: int | None = None
    """Largest site that the host takes; null: no limit."""
    shard_bytes: int = 33554432
    """Size at which a shard of weights is closed; a larger tensor gets a shard of its own."""


@dataclass
class VerifyConf:
    """What a browser must show before a build is believed."""

    name: str = "browser"
    num_prompts: int = 5
    """Training questions asked, evenly spaced over the training rows."""
    num_tokens: int = 32
    """Tokens compared per prompt."""
    max_answer_tokens: int = 128
    min_greedy_agreement: float = 1.0
    """Lowest share of prompts with the dequantized reference's greedy tokens (ties aside)."""
    min_forced_top1_agreement: float = 0.99
    tie_gap: float = 1e-3
    """A first difference is a tie when the reference's two best logits are closer than this."""
    min_answers: int = 4
    """Fewest answers that must reach ``min_rouge_l`` and stop by themselves."""
    min_rouge_l: float = 0.8
    timeout_s: int = 300
    graphics: Graphics = Graphics.software
    """software: Chromium's SwiftShader, the same everywhere; hardware: this machine's GPU."""
    browser: str | None = None
    """Path or name of the browser; null: ``WEBSLM_BROWSER``, then what is found."""


@dataclass
class CacheConf:
    """Where finished steps are shared, besides this machine's own store."""

    remote: str | None = None
    """Folder or URL (file, s3, sftp, ... as fsspec knows them); null: ``WEBSLM_REMOTE``."""
    push: bool = True
    """Whether steps that ran here are offered to the others."""


@dataclass
class SweepConf:
    """How several builds of one command are compared; no stage reads it."""

    name: str | None = None
    """Folder below outputs/sweeps; null: the swept keys and a digest of the command."""
    metric: str | None = None
    """What a searching sweeper improves: stage.metric, such as verify.rouge_l."""


@dataclass
class Config:
    """One build, whole."""

    name: str = MISSING
    output_dir: str = MISSING
    seed: int = 0
    dry_run: bool = False
    explain: str | None = None
    """Stage of which to say why it will run, instead of building."""
    until: str | None = None
    """Last stage to build."""
    from_stage: str | None = None
    """First of the stages to run again, with every later one; ``from=`` on the command line."""
    only: str | None = None
    """The one stage to build; what it reads must be stored."""
    force: list[str] = field(default_factory=list)
    """Stages to run again although their artifacts are stored."""
    keep_going: bool = False
    """Whether a failed stage ends only what reads it; the build fails all the same."""
    cache: CacheConf = field(default_factory=CacheConf)
    pins: dict[str, str] = field(default_factory=dict)
    """sha256 of files outside the store, by key as in a lock; another file is refused."""
    finetune: Finetune = Finetune.lora
    """none: the base is taken as it is."""
    precision: Precision = Precision.declared
    """auto: ``quant.dtype`` follows from activations on training rows (``quant=auto``)."""
    domain: DomainConf = field(default_factory=DomainConf)
    data: DataConf = field(default_factory=DataConf)
    base: BaseConf = field(default_factory=BaseConf)
    lora: LoraConf = field(default_factory=LoraConf)
    launch: LaunchConf = field(default_factory=LaunchConf)
    quant: QuantConf = field(default_factory=QuantConf)
    compiler: CompilerConf = field(default_factory=CompilerConf)
    runtime: RuntimeConf = field(default_factory=RuntimeConf)
    app: AppConf = field(default_factory=AppConf)
    host: HostConf = field(default_factory=HostConf)
    verify: VerifyConf = field(default_factory=VerifyConf)
    sweep: SweepConf = field(default_factory=SweepConf)


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
class FinetuneStageConf:
    """``finetune``: an adapter."""

    lora: LoraConf
    seed: int
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
class ConvertStageConf:
    """``convert``: quantized shards."""

    shape: ShapeConf
    quant: QuantConf
    shard_bytes: int = 33554432


@dataclass(frozen=True, kw_only=True)
class ChatConfigStageConf:
    """``chat_config``: mlc-chat-config.json, proved equal to the tokenizer's template."""

    shape: ShapeConf
    quant_name: str
    context_window_size: int
    prefill_chunk_size: int
    decoding: DecodingConf


@dataclass(frozen=True, kw_only=True)
class CompileStageConf:
    """``compile``: the library; knows nothing of weights, data or names."""

    shape: ShapeConf
    quant: QuantConf
    compiler: CompilerConf
    runtime: RuntimeConf


@dataclass(frozen=True, kw_only=True)
class GoldenStageConf:
    """``golden``: answers that a device can be tested with."""

    shape: ShapeConf
    quant: QuantConf
    num_prompts: int = 3
    num_tokens: int = 16


@dataclass(frozen=True, kw_only=True)
class CardConf:
    """What a model card says that no other stage's output holds."""

    base: str
    base_id: str | None
    base_commit: str | None
    licence: str
    lora: LoraConf
    seed: int


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
    shape: ShapeConf
    quant: QuantConf
    browser_min: int


StageConf = (
    DataStageConf
    | BaseStageConf
    | FinetuneStageConf
    | MergeStageConf
    | CalibrateStageConf
    | NormalizeStageConf
    | ConvertStageConf
    | ChatConfigStageConf
    | CompileStageConf
    | GoldenStageConf
    | BundleStageConf
    | VerifyStageConf
)
Resolved = dict[str, Any]
