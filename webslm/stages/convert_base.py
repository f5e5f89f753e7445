"""Own ``convert_base``: the untuned base in the tuned model's format, for pages that compare both.

Both then run on one library, so that nothing but the weights differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from webslm.basics.stage import Context, Metrics
from webslm.schema import ConvertStageConf
from webslm.stages import convert


def run(cfg: ConvertStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write the base's shards, as ``convert`` writes the merged checkpoint's.

    Raises:
        ConfigError: As ``convert``.
        StageFailed: As ``convert``.
    """
    return convert.run(cfg, {"merge": inputs["base"]}, out, ctx)
