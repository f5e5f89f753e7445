"""Own the choice of a format's precision from what calibration found. Measure nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from webslm.schema import Config, QuantConf

if TYPE_CHECKING:
    from webslm.stage import Metric

STAGE = "calibrate"


def unsettled(cfg: Config) -> Config:
    """Return the build up to the stage that the choice needs."""
    return replace(cfg, until=STAGE, from_stage=None, only=None)


def settled(cfg: Config, calibration: Mapping[str, Metric], done: tuple[str, ...]) -> Config:
    """Return the build with the format that calibration allows.

    Args:
        cfg: A build whose precision is open.
        calibration: Metrics of the stage ``calibrate``.
        done: Stages that ran already and are not forced again.
    """
    quant = with_dtype(cfg.quant, str(calibration["dtype"]))
    return replace(cfg, quant=quant, force=[name for name in cfg.force if name not in done])


def with_dtype(quant: QuantConf, dtype: str) -> QuantConf:
    """Return a format of the same width in another precision, named as the ecosystem does."""
    short = {"float16": "f16", "float32": "f32"}[dtype]
    changes: dict[str, Any] = {
        "name": f"q{quant.bits}{short}" + ("_1" if quant.bits else ""),
        "dtype": dtype,
        # Half the bytes of float32 scales; float16 scales are as small already.
        "scale_encoding": "f32-to-bf16" if quant.bits and dtype == "float32" else "raw",
    }
    return replace(quant, **changes)
