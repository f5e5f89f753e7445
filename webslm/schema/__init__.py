"""Own the configuration contract: one dataclass per group, one per stage. Do no I/O.

The groups (``Config`` and what it holds) are what a user writes. A stage never sees the whole:
``registry`` cuts a ``<Stage>Conf`` out of it, and exactly that enters the stage's key.
"""

from webslm.schema.base import BaseConf, HubConf, RopeScalingConf, ShapeConf, TinyConf
from webslm.schema.choices import (
    COMPARING,
    Align,
    BaseSource,
    Device,
    Finetune,
    Graphics,
    Loss,
    Mode,
    Precision,
    Retriever,
    Sharding,
    Weights,
)
from webslm.schema.config import CacheConf, Config, SweepConf
from webslm.schema.data import DataConf, DomainConf
from webslm.schema.library import AllowedConf, CompilerConf, QuantConf, RuntimeConf
from webslm.schema.page import (
    AppConf,
    DecodingConf,
    HostConf,
    ProofModeConf,
    RetrievalConf,
    VerifyConf,
)
from webslm.schema.stages import (
    AlignStageConf,
    BaseStageConf,
    BundleStageConf,
    CalibrateStageConf,
    CardConf,
    ChatConfigStageConf,
    CompileStageConf,
    ConvertStageConf,
    DataStageConf,
    FinetuneStageConf,
    GoldenStageConf,
    MergeStageConf,
    NormalizeStageConf,
    StageConf,
    VerifyStageConf,
)
from webslm.schema.training import AdapterConf, DpoConf, LaunchConf, LoraConf

__all__ = [
    "COMPARING",
    "AdapterConf",
    "Align",
    "AlignStageConf",
    "AllowedConf",
    "AppConf",
    "BaseConf",
    "BaseSource",
    "BaseStageConf",
    "BundleStageConf",
    "CacheConf",
    "CalibrateStageConf",
    "CardConf",
    "ChatConfigStageConf",
    "CompileStageConf",
    "CompilerConf",
    "Config",
    "ConvertStageConf",
    "DataConf",
    "DataStageConf",
    "DecodingConf",
    "Device",
    "DomainConf",
    "DpoConf",
    "Finetune",
    "FinetuneStageConf",
    "GoldenStageConf",
    "Graphics",
    "HostConf",
    "HubConf",
    "LaunchConf",
    "LoraConf",
    "Loss",
    "MergeStageConf",
    "Mode",
    "NormalizeStageConf",
    "Precision",
    "ProofModeConf",
    "QuantConf",
    "RetrievalConf",
    "Retriever",
    "RopeScalingConf",
    "RuntimeConf",
    "ShapeConf",
    "Sharding",
    "StageConf",
    "SweepConf",
    "TinyConf",
    "VerifyConf",
    "VerifyStageConf",
    "Weights",
]
