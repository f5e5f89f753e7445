"""``calibrate``: the largest activations on training rows, and the precision that they allow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from webslm.basics.errors import StageFailed
from webslm.basics.fs import write_text
from webslm.basics.stage import Context, Metrics
from webslm.rows import artifact
from webslm.schema import CalibrateStageConf
from webslm.training import calibration, turns

LIMIT = 65504.0
"""Largest finite float16."""
HEADROOM = 4.0
"""Other texts may reach higher than these rows: so many times higher is still safe."""
SHOWN = 20


def run(cfg: CalibrateStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Run the merged model over rows of ``inputs['data']`` and write ``calibration.json``.

    Raises:
        StageFailed: An activation is no number even in float32.
    """
    rows = artifact.read_messages(inputs["data"] / artifact.TRAIN)
    probes = turns.probe_ids(inputs["merge"], rows, count=cfg.rows, tokens=cfg.tokens)
    ctx.progress.update(0, 1, f"{len(probes)} rows")
    found = calibration.largest_activations(inputs["merge"], probes)
    where, largest = max(found.items(), key=lambda item: item[1])
    if largest == float("inf"):
        raise StageFailed(
            f"calibrate: {where} is no finite number in float32",
            hint="the training diverged: lower lora.learning_rate",
        )
    dtype = "float16" if largest * HEADROOM <= LIMIT else "float32"
    # Four digits: the last bits of a sum follow the machine's vector width.
    facts: dict[str, float | int | str] = {
        "dtype": dtype,
        "largest": float(f"{largest:.4g}"),
        "where": where,
        "rows": len(probes),
        "reason": (
            f"{dtype}: the largest activation of {len(probes)} training rows is {largest:.4g} "
            f"({where}), {100 * largest / LIMIT:.2g} % of float16's {LIMIT:.0f}; "
            f"up to {100 / HEADROOM:.0f} % is safe"
        ),
    }
    highest = sorted(found.items(), key=lambda item: -item[1])[:SHOWN]
    document = facts | {"highest": {name: float(f"{value:.4g}") for name, value in highest}}
    write_text(out / "calibration.json", json.dumps(document, indent=1) + "\n")
    ctx.progress.note(str(facts["reason"]))
    return facts
