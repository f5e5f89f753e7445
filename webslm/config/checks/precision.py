"""Own the choice of a format's precision from what calibration found. Measure nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from webslm.basics.compilers import TVM
from webslm.basics.errors import Problem
from webslm.model.weights.format import Format
from webslm.schema import Config, Precision

if TYPE_CHECKING:
    from webslm.basics.stage import Metric

STAGE = "calibrate"


def problems(cfg: Config) -> Iterator[Problem]:
    """Yield why two libraries over one set of weights cannot be had."""
    if cfg.precision is not Precision.both:
        return
    quant, compiler = cfg.quant, cfg.compiler.name
    if quant.dtype == "float16":
        yield (
            f"precision: both shares float32 weights, and quant={quant.name} keeps float16 ones",
            f"quant={Format(quant).with_dtype('float32').name}, or precision=declared",
        )
    if compiler != TVM:
        yield (
            f"precision: both compiles a second library, which compiler={compiler} does not",
            "compiler=tvm, or precision=declared",
        )


def unsettled(cfg: Config) -> Config:
    """Return the build up to the stage that the choice needs."""
    return replace(cfg, until=STAGE, from_stage=None, only=None)


def settled(cfg: Config, calibration: Mapping[str, Metric], done: tuple[str, ...]) -> Config:
    """Return the build with the format that calibration allows.

    Args:
        cfg: A build whose precision is open.
        calibration: Metrics of the stage ``calibrate``.
        done: Stages that ran already and are not forced again.

    Returns:
        auto: in the type that calibration names. both: in float32, and auto where no library may
        compute in float16.
    """
    dtype, precision = str(calibration["dtype"]), cfg.precision
    force = [name for name in cfg.force if name not in done]
    if precision is Precision.both:
        # The weights' other settings stand as they were given: this format is float32 already.
        quant = replace(cfg.quant, name=Format(cfg.quant).with_dtype("float32").name)
        precision = Precision.both if dtype == "float16" else Precision.auto
        return replace(cfg, quant=quant, precision=precision, force=force)
    return replace(cfg, quant=Format(cfg.quant).with_dtype(dtype), force=force)


def left_out(cfg: Config, chosen: Config, calibration: Mapping[str, Metric]) -> str | None:
    """Return why a build asked for two libraries gets one; None: it gets what it asked for."""
    if cfg.precision is chosen.precision:
        return None
    return f"precision=both: no library for float16. {calibration['reason']}"
