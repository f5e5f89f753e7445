"""Own the checks of what a configuration says of training."""

from __future__ import annotations

from collections.abc import Iterator

from webslm.basics.errors import Problem
from webslm.basics.limits import positive
from webslm.compiler.targets import targets
from webslm.engine.rounding_rule import UNTUNED, why_unaware
from webslm.schema import Align, Arithmetic, Aware, Config, Device, Finetune, Sharding

SCHEDULERS = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
)
SHORT = (Arithmetic.bfloat16, Arithmetic.float16)
TUNED_BY_TARGET = (Finetune.lora, Finetune.dora, Finetune.qlora)


def problems(cfg: Config) -> Iterator[Problem]:
    """Yield what is wrong with fine-tune and launch."""
    yield from _lora(cfg)
    yield from _course(cfg)
    yield from _layers(cfg)
    yield from _method(cfg)
    yield from _align(cfg)
    yield from _launch(cfg)


def tunes_targets(cfg: Config) -> bool:
    """Return whether a fresh adapter is trained."""
    return cfg.finetune in TUNED_BY_TARGET


def _lora(cfg: Config) -> Iterator[Problem]:
    lora = cfg.lora
    yield from positive(
        "lora",
        lora,
        (
            "r",
            "alpha",
            "epochs",
            "learning_rate",
            "batch_size",
            "gradient_accumulation_steps",
            "max_length",
        ),
    )
    if not 0 <= lora.dropout < 1:
        yield f"lora.dropout: {lora.dropout} is not below 1", "0 to below 1, such as 0.05"
    if not 0 <= lora.warmup_ratio < 1:
        yield f"lora.warmup_ratio: {lora.warmup_ratio} is not a share", "0 to below 1"
    if lora.weight_decay < 0:
        yield f"lora.weight_decay: {lora.weight_decay} is negative", "0 or more"
    if lora.lr_scheduler not in SCHEDULERS:
        yield (
            f"lora.lr_scheduler: no scheduler {lora.lr_scheduler!r}",
            f"one of {', '.join(SCHEDULERS)}",
        )
    known = targets(cfg.base.shape.model_type)
    if lora.augment.copies < 0:
        yield f"lora.augment.copies: {lora.augment.copies} is negative", "0: none"
    for name in ("deletion", "lowercase"):
        share = getattr(lora.augment, name)
        if not 0 <= share <= 1:
            yield f"lora.augment.{name}: {share} is not a share", "0 to 1"
    missing = [name for name in lora.target_modules if known and name not in known]
    if missing and tunes_targets(cfg):
        yield (
            f"lora.target_modules: {', '.join(missing)} matches no module of "
            f"{cfg.base.shape.model_type}",
            f"some of {', '.join(known)}; lora.target_modules=[] takes all",
        )


def _launch(cfg: Config) -> Iterator[Problem]:
    launch, lora = cfg.launch, cfg.lora
    yield from positive("launch", launch, ("processes",))
    if launch.checkpoint_seconds is not None and launch.checkpoint_seconds < 0:
        yield (
            f"launch.checkpoint_seconds: {launch.checkpoint_seconds} is negative",
            "0: after every step; null: never",
        )
    if launch.processes < 1:
        return
    shares = (lora.batch_size, lora.gradient_accumulation_steps)
    if all(share % launch.processes for share in shares):
        yield (
            f"launch.processes: {launch.processes} processes cannot share batches of "
            f"{shares[0]} x {shares[1]} evenly",
            "make lora.batch_size or lora.gradient_accumulation_steps a multiple of it",
        )
    if launch.sharding is Sharding.fsdp and launch.processes == 1:
        yield "launch.sharding: fsdp shares the base among processes, and there is one", "none"


def _course(cfg: Config) -> Iterator[Problem]:
    """Yield what is wrong with how long and how evenly a training runs."""
    lora = cfg.lora
    if lora.max_steps is not None and lora.max_steps < 1:
        yield f"lora.max_steps: {lora.max_steps} is not above 0", "null: as lora.epochs says"
    if lora.budget_minutes is not None:
        yield from positive("lora", lora, ("budget_minutes",))
        if lora.max_steps is not None:
            yield "lora.budget_minutes: cannot stand beside lora.max_steps", "set one of them"
    if lora.early_stopping_patience < 0:
        yield f"lora.early_stopping_patience: {lora.early_stopping_patience} is negative", "0: off"
    if cfg.launch.processes > 1 and (lora.budget_minutes or lora.early_stopping_patience):
        yield (
            "launch.processes: several processes plan no budget and stop at no held-out loss",
            "launch=single",
        )
    if lora.neftune_alpha is not None and not 0 < lora.neftune_alpha < 100:
        yield f"lora.neftune_alpha: {lora.neftune_alpha} is out of range", "5, or null for none"


def _layers(cfg: Config) -> Iterator[Problem]:
    """Yield what is wrong with which layers learn and through what rounding."""
    lora, depth = cfg.lora, cfg.base.shape.num_hidden_layers
    if lora.layers is not None:
        if lora.layers < 1 or (depth and lora.layers > depth):
            yield f"lora.layers: {lora.layers} of {depth or 'its'} layers", "null lets all learn"
        if cfg.finetune is Finetune.full:
            yield "lora.layers: finetune=full lets all layers learn", "lora=reference"
    reason = None if cfg.finetune in UNTUNED else why_unaware(cfg)
    if lora.quantization_aware is Aware.always and reason is not None:
        yield f"lora.quantization_aware: {reason}", "lora.quantization_aware=auto"


def _align(cfg: Config) -> Iterator[Problem]:
    dpo = cfg.dpo
    if cfg.align is Align.none:
        if dpo.path is not None:
            yield "dpo.path: nothing reads it", "align=dpo"
        return
    if dpo.path is None:
        yield "dpo.path: align=dpo needs pairs", "dpo.path=FILE of {prompt, chosen, rejected}"
    if cfg.finetune in (Finetune.full, Finetune.none):
        yield (
            f"align: dpo tunes an adapter, and finetune={cfg.finetune.value} makes none",
            "finetune=lora",
        )
    if cfg.launch.processes > 1:
        yield "align: dpo is trained by one process", "launch=single"
    counts = ("epochs", "learning_rate", "batch_size", "gradient_accumulation_steps", "beta")
    yield from positive("dpo", dpo, counts)
    if not 0 <= dpo.warmup_ratio < 1:
        yield f"dpo.warmup_ratio: {dpo.warmup_ratio} is not a share", "0 to below 1"


def _method(cfg: Config) -> Iterator[Problem]:
    method, path = cfg.finetune, cfg.adapter.path
    if cfg.lora.device is Device.cpu and cfg.lora.precision in SHORT:
        yield (
            f"lora.precision: a CPU trains in float32, not {cfg.lora.precision.value}",
            "lora.precision=auto",
        )
    if method is Finetune.adapter and path is None:
        yield "adapter.path: finetune=adapter needs one", "adapter.path=FOLDER of a peft adapter"
    if method is not Finetune.adapter and path is not None:
        yield f"adapter.path: finetune={method.value} reads no adapter", "finetune=adapter"
    if method is Finetune.qlora and cfg.lora.device is Device.cpu:
        yield "finetune: qlora needs a GPU, and lora.device is cpu", "finetune=lora"
    if method in (Finetune.full, Finetune.qlora) and cfg.launch.sharding is Sharding.fsdp:
        yield (
            f"launch.sharding: fsdp shares the base of an adapter; finetune={method.value}",
            "launch=processes",
        )
