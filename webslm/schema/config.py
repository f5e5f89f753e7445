"""Own a build, whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from webslm.schema.base import BaseConf
from webslm.schema.choices import Align, Finetune, Precision, Scale
from webslm.schema.data import DataConf, DomainConf
from webslm.schema.evaluate import EvaluateConf
from webslm.schema.library import CompilerConf, QuantConf, RuntimeConf
from webslm.schema.page import AppConf, HostConf, VerifyConf
from webslm.schema.publish import PublishConf
from webslm.schema.training import AdapterConf, DpoConf, LaunchConf, LoraConf


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
    """Names the output folder and the model; letters, digits, '.', '_' and '-'."""
    output_dir: str = MISSING
    """Where site, lock and reports go."""
    seed: int = 0
    """One seed for the split, training and random weights."""
    dry_run: bool = False
    """Print the plan with keys, hits and past times; touch nothing."""
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
    """Low-rank updates (lora, dora, qlora), all weights, an adapter trained elsewhere, or nothing:
    the base as it is."""
    align: Align = Align.none
    """dpo: the tuned adapter learns on from pairs of answers."""
    precision: Precision = Precision.declared
    """auto: ``quant.dtype`` follows from activations on training rows (``quant=auto``). both: a
    float32 format gets a second library that computes in float16, if those activations allow it,
    and the page takes the one that fits the visitor's chip."""
    scale: Scale = Scale.none
    """awq: channels are scaled and groups clipped where activations on training rows gain by it."""
    domain: DomainConf = field(default_factory=DomainConf)
    data: DataConf = field(default_factory=DataConf)
    base: BaseConf = field(default_factory=BaseConf)
    lora: LoraConf = field(default_factory=LoraConf)
    adapter: AdapterConf = field(default_factory=AdapterConf)
    dpo: DpoConf = field(default_factory=DpoConf)
    launch: LaunchConf = field(default_factory=LaunchConf)
    quant: QuantConf = field(default_factory=QuantConf)
    compiler: CompilerConf = field(default_factory=CompilerConf)
    runtime: RuntimeConf = field(default_factory=RuntimeConf)
    app: AppConf = field(default_factory=AppConf)
    evaluate: EvaluateConf = field(default_factory=EvaluateConf)
    host: HostConf = field(default_factory=HostConf)
    verify: VerifyConf = field(default_factory=VerifyConf)
    publish: PublishConf = field(default_factory=PublishConf)
    sweep: SweepConf = field(default_factory=SweepConf)
