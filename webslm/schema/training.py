"""Own what a user says of a fine-tune."""

from __future__ import annotations

from dataclasses import dataclass, field

from webslm.schema.choices import Arithmetic, Aware, Device, Loss, Sharding


@dataclass
class AugmentConf:
    """Further rows of a fine-tune: the same answers to questions with words left out."""

    copies: int = 0
    """Rows made of each training row; 0: none."""
    deletion: float = 0.3
    """Mean share of a question's words that a copy lacks: those that many questions hold go first,
    the rarest one and numbers stay."""
    lowercase: float = 0.5
    """Share of copies in small letters and without the last mark, as people type."""


@dataclass
class LoraConf:
    """A fine-tune (trl SFT with peft); ``finetune=full`` has no use for rank and targets."""

    r: int = 16
    """Rank of the adapter."""
    alpha: int = 32
    """The adapter is scaled by alpha / r."""
    dropout: float = 0.05
    """Share of the adapter's inputs dropped while training."""
    target_modules: list[str] = field(default_factory=list)
    """Linear modules that learn; empty: all that a layer of the architecture has."""
    layers: int | None = None
    """Uppermost layers that learn; null: all. What the others make of a row is computed once."""
    quantization_aware: Aware = Aware.never
    """always: compute with weights rounded as ``quant`` rounds them, so that what is learnt is what
    the browser has (another format is then another fine-tune); auto: where method, launch and
    format allow it; never."""
    epochs: float = 3.0
    """Passes over the training rows."""
    learning_rate: float = 2e-4
    """Highest learning rate."""
    batch_size: int = 2
    """Rows a forward pass."""
    gradient_accumulation_steps: int = 8
    """Passes an optimizer step."""
    max_length: int = 1024
    """Longest rendered conversation in tokens; a longer row is an error, never cut silently."""
    lr_scheduler: str = "linear"
    """linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup or
    inverse_sqrt."""
    warmup_ratio: float = 0.03
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.0
    """Of AdamW."""
    loss: Loss = Loss.assistant_only
    """assistant_only: answers and their stop tokens; full: every token."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, more time."""
    device: Device = Device.auto
    """auto: a CUDA GPU where there is one."""
    precision: Arithmetic = Arithmetic.auto
    """What a step computes in: float32, bfloat16 or float16 (its losses scaled); auto: bfloat16
    on a GPU that has it, float16 on an older one, float32 on a CPU. What learns stays float32."""
    max_steps: int | None = None
    """Optimiser steps at most, the schedule laid over them; null: as many as ``epochs`` gives."""
    budget_minutes: float | None = None
    """Minutes that training may take on this machine: as many steps are planned as fit, and what
    is left out is said. Another machine plans others; ``max_steps`` repeats them anywhere."""
    early_stopping_patience: int = 0
    """Epochs without a lower loss on held-out rows after which training ends; the weights of the
    best epoch are kept. 0: neither is done."""
    neftune_alpha: float | None = None
    """Noise on the embeddings of training rows (NEFTune, arXiv:2310.05914); 5 is usual."""
    augment: AugmentConf = field(default_factory=AugmentConf)
    packing: bool = False
    """Rows of a batch lie behind each other instead of padded below each other; each sees itself
    alone, so what is learnt is the same."""


@dataclass
class AdapterConf:
    """An adapter trained elsewhere (``finetune=adapter``)."""

    path: str | None = None
    """Folder with adapter_config.json and adapter_model.safetensors."""


@dataclass
class DpoConf:
    """Direct preference optimisation (``align=dpo``; trl); the rest is as ``lora`` says."""

    path: str | None = None
    """JSONL of {prompt or messages, chosen, rejected}."""
    beta: float = 0.1
    """How strongly the model is held to what it was before; lower lets it go further."""
    epochs: float = 1.0
    """Passes over the pairs."""
    learning_rate: float = 5e-5
    """Highest learning rate."""
    batch_size: int = 2
    """Pairs a forward pass."""
    gradient_accumulation_steps: int = 4
    """Passes an optimizer step."""
    warmup_ratio: float = 0.1
    """Share of the steps in which the learning rate rises."""


@dataclass
class LaunchConf:
    """How many processes train together; what is learnt from one batch does not depend on it."""

    processes: int = 1
    """Processes of this machine that share every batch: one GPU each, or CPU cores."""
    sharding: Sharding = Sharding.none
    """none: each holds the base; fsdp: each holds a part (GPUs only)."""
    checkpoint_seconds: float | None = 60.0
    """Seconds of training between checkpoints that a killed build goes on from; 0: after every
    step; null: none. Kept by one process only."""
