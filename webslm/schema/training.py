"""Own what a user says of a fine-tune."""

from __future__ import annotations

from dataclasses import dataclass, field

from webslm.schema.choices import Device, Loss, Sharding


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
    """linear, cosine, constant or constant_with_warmup."""
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


@dataclass
class AdapterConf:
    """An adapter trained elsewhere (``finetune=adapter``)."""

    path: str | None = None
    """Folder with adapter_config.json and adapter_model.safetensors."""


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
