"""``merge``: base and adapter to one plain checkpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from webslm.basics import artifact_files, model_files
from webslm.basics.fs import link_or_copy, tree_files, write_text
from webslm.basics.stage import Context, Metrics
from webslm.rows import artifact
from webslm.schema import MergeStageConf
from webslm.training import merging, turns

PROBES = 4
PROBE_TOKENS = 256
OWN = (model_files.CONFIG, artifact_files.BASE)
"""Files of the base that the merge writes anew or leaves behind, beside its weights."""


def run(cfg: MergeStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Merge what ``inputs['align']`` or else ``inputs['finetune']`` learnt into ``inputs['base']``.

    Raises:
        ConfigError: Unknown dtype.
        StageFailed: The merged model is not the tuned one, or is the base.
    """
    base = inputs["base"]
    tuned = inputs.get("align") or inputs.get("finetune")
    if tuned is None:
        return _pass_through(base, out)
    rows = artifact.read_messages(inputs["data"] / artifact.TRAIN)
    probes = turns.probe_ids(base, rows, count=PROBES, tokens=PROBE_TOKENS)
    ctx.progress.update(0, 1, "merging and comparing logits")
    found = merging.merge(base, tuned, probes, dtype=cfg.dtype, folder=out)
    carry(base, out)
    metrics = asdict(found) | {"dtype": cfg.dtype}
    write_text(out / "merge.json", json.dumps(metrics, indent=1, sort_keys=True) + "\n")
    ctx.progress.update(1, 1, f"logits within {found.merged_to_adapter:.1e} of the adapter's")
    return metrics


def _pass_through(base: Path, out: Path) -> Metrics:
    """Take a base that nothing tuned as it is, in its own precision."""
    carry(base, out)
    for path in tree_files(base):
        if model_files.WEIGHTS_SUFFIX in path.name or path.name == model_files.CONFIG:
            link_or_copy(path, out / path.relative_to(base))
    write_text(out / "merge.json", json.dumps({"tuned": False}) + "\n")
    return {"tuned": False}


def carry(base: Path, out: Path) -> None:
    """Copy tokenizer and generation settings of the base byte for byte."""
    for path in tree_files(base):
        name = path.relative_to(base)
        weights = model_files.WEIGHTS_SUFFIX in path.name
        if not weights and name.as_posix() not in OWN:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / name)
