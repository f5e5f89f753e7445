"""Own ``compile_f16``: a second library over the same weights, for chips that have float16.

Parameters keep the types and the order of the float32 format, so one set of shards serves both;
activations and the cache are float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from webslm.basics.stage import Context, Metrics
from webslm.schema import CompileStageConf
from webslm.stages import compile as compiling


def run(cfg: CompileStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write the library and its ``library.json``, as ``compile`` writes those of the format.

    Raises:
        ConfigError: As ``compile``.
        StageFailed: As ``compile``.
    """
    return compiling.run(cfg, inputs, out, ctx)
