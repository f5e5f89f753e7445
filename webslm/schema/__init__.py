"""Own the configuration contract: one dataclass per group, one per stage. Do no I/O.

The groups (``Config`` and what it holds) are what a user writes. A stage never sees the whole:
``registry`` cuts a ``<Stage>Conf`` out of it, and exactly that enters the stage's key.
"""

from webslm.schema.base import BaseConf, HubConf, RopeScalingConf, ShapeConf, TinyConf
from webslm.schema.choices import (
    COMPARING,
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
from webslm.schema.data import DataConf, DomainConf, HubRowsConf
from webslm.schema.evaluate import EvaluateConf, GatesConf, SamplingConf
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
    BaseStageConf,
    BundleStageConf,
    CalibrateStageConf,
    CardConf,
    ChatConfigStageConf,
    CompileStageConf,
    ConvertStageConf,
    DataStageConf,
    EvaluateStageConf,
    FinetuneStageConf,
    GoldenStageConf,
    InspectStageConf,
    MergeStageConf,
    NormalizeStageConf,
    StageConf,
    VerifyStageConf,
)
from webslm.schema.training import LaunchConf, LoraConf

__all__ = [
    "COMPARING",
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
    "EvaluateConf",
    "EvaluateStageConf",
    "Finetune",
    "FinetuneStageConf",
    "GatesConf",
    "GoldenStageConf",
    "Graphics",
    "HostConf",
    "HubConf",
    "HubRowsConf",
    "InspectStageConf",
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
    "SamplingConf",
    "ShapeConf",
    "Sharding",
    "StageConf",
    "SweepConf",
    "TinyConf",
    "VerifyConf",
    "VerifyStageConf",
    "Weights",
]
