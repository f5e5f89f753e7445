"""Own what a user says of a fine-tune."""

from __future__ import annotations

from dataclasses import dataclass, field

from webslm.schema.choices import Device, Loss, Sharding


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
