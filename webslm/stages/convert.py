"""Own ``convert``: a checkpoint's tensors to quantized shards, and the way back to tensors.

Nothing but blocks of rows and one tensor's scales is held, whatever the size of the checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import artifact_files, model_files
from webslm.basics.errors import StageFailed
from webslm.basics.fs import temporary_dir, write_text
from webslm.basics.keys import file_digest
from webslm.basics.stage import Context, Metrics
from webslm.compiler import mlc_llm
from webslm.model.architectures import architecture
from webslm.model.architectures.weight_maps import Parameter
from webslm.model.weights.checkpoint import Checkpoint
from webslm.model.weights.completeness import check_weights
from webslm.model.weights.conversion import RoundTrip, read_parameter, write_parameter
from webslm.model.weights.format import Format
from webslm.model.weights.mlc_config import config_of
from webslm.model.weights.mlc_weights import PackedWeights
from webslm.model.weights.shards import ShardReader, ShardWriter
from webslm.schema import ConvertStageConf, QuantConf

if TYPE_CHECKING:
    from webslm.model.weights.quantization import Float32

Write = Callable[[ShardWriter, Checkpoint, Parameter], RoundTrip]
"""Writes one parameter's tensors and returns what the format costs."""

LIMITS = "limits"
"""Folder of a scaled checkpoint with the peaks of its groups."""


def run(cfg: ConvertStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Write the shards, their index and ``convert.json``.

    Raises:
        ConfigError: The weight format or the shape is impossible.
        StageFailed: The checkpoint and the weight map differ, or a number is not finite.
    """
    Format(cfg.quant).check()
    parameters = architecture(cfg.shape.model_type).parameters(cfg.shape)
    checkpoint = Checkpoint(inputs.get("scale", inputs["merge"]))
    limits = Checkpoint(inputs["scale"] / LIMITS) if "scale" in inputs else None
    check_weights(checkpoint, cfg.shape)
    started = time.perf_counter()
    with _packing(cfg, checkpoint, limits, parameters, out, ctx) as write:
        rows, index = _write_all(checkpoint, parameters, cfg, out, ctx, write)
    seconds = time.perf_counter() - started
    _write_report(out, cfg.quant, rows, index)
    worst = max(rows, key=lambda row: float(row["rms_relative_error"]))
    read = sum(checkpoint.tensors[s].nbytes for p in parameters for s in p.sources)
    return {
        "tensors": len(rows),
        "bytes": index["metadata"]["ParamBytes"],
        "bits_per_weight": index["metadata"]["BitsPerParam"],
        "shards": len(index["records"]),
        "worst_tensor": worst["name"],
        "worst_rms_relative_error": worst["rms_relative_error"],
        "read_mb_per_s": round(read / 1e6 / max(seconds, 1e-9), 1),
    }


def dequantized_state(
    convert_dir: Path, parameters: Sequence[Parameter], quant: QuantConf
) -> dict[str, Float32]:
    """Return checkpoint tensors by name, float32, with the values the library computes with.

    Args:
        convert_dir: What ``run`` wrote; the shards themselves are read.
        parameters: The weight map that ``run`` used.
        quant: The format that ``run`` used.

    Raises:
        StageFailed: The folder is not what ``run`` writes for this map and format.
    """
    reader = ShardReader(convert_dir)
    sources = _recorded_sources(convert_dir)
    state: dict[str, Float32] = {}
    for parameter in parameters:
        values = read_parameter(reader, parameter, quant)
        rows = sources.get(parameter.name, {})
        if tuple(rows) != parameter.sources or sum(rows.values()) != parameter.shape[0]:
            raise StageFailed(
                f"{parameter.name}: {artifact_files.CONVERSION} is of another weight map"
            )
        start = 0
        for source, count in rows.items():
            state[source] = values[start : start + count]
            start += count
    return state


@contextlib.contextmanager
def _packing(
    cfg: ConvertStageConf,
    checkpoint: Checkpoint,
    limits: Checkpoint | None,
    parameters: Sequence[Parameter],
    out: Path,
    ctx: Context,
) -> Iterator[Write]:
    """Yield what writes a parameter: webslm's own packing, or what mlc_llm packed."""
    if not cfg.tools:
        yield lambda writer, weights, item: write_parameter(
            writer, weights, item, cfg.quant, limits
        )
        return
    ctx.progress.note("mlc_llm convert_weight")
    with temporary_dir(out.parent, "packed") as work:
        packed = work / "weights"
        mlc_llm.convert_weight(
            mlc_llm.interpreter(cfg.python),
            config_of(cfg.shape),
            checkpoint.paths,
            packed,
            quantization=cfg.quant.name,
            log_dir=ctx.log_dir,
        )
        yield PackedWeights(packed, parameters, cfg.quant).write


def _write_all(
    checkpoint: Checkpoint,
    parameters: Sequence[Parameter],
    cfg: ConvertStageConf,
    out: Path,
    ctx: Context,
    write: Write,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write every parameter and return the report's rows and the index."""
    total = sum(math.prod(parameter.shape) for parameter in parameters)
    done = 0
    rows: list[dict[str, Any]] = []
    writer = ShardWriter(out, cap_bytes=cfg.shard_bytes)
    try:
        for parameter in parameters:
            ctx.progress.update(4 * done, 4 * total, parameter.name)
            error = write(writer, checkpoint, parameter)
            rows.append(_row(checkpoint, parameter, cfg.quant, error))
            done += math.prod(parameter.shape)
        ctx.progress.update(4 * done, 4 * total, model_files.TENSOR_INDEX)
        return rows, writer.close(num_weights=total)
    finally:
        writer.abort()


def _row(
    checkpoint: Checkpoint, parameter: Parameter, quant: QuantConf, error: RoundTrip
) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "shape": list(parameter.shape),
        "sources": {s: checkpoint.tensors[s].shape[0] for s in parameter.sources},
        "stored": [tensor.name for tensor in Format(quant).tensors(parameter)],
        "bytes": sum(tensor.nbytes for tensor in Format(quant).tensors(parameter)),
        # Six digits: the last bits of a sum follow the machine's vector width.
        "max_abs_error": float(f"{error.largest:.6g}"),
        "rms_relative_error": float(f"{error.rms_relative:.6g}"),
    }


def _write_report(
    out: Path, quant: QuantConf, rows: list[dict[str, Any]], index: dict[str, Any]
) -> None:
    """Write ``convert.json``; no time enters it, so that equal weights give equal bytes."""
    files = {
        shard["dataPath"]: {"bytes": shard["nbytes"], "sha256": shard["sha256"]}
        for shard in index["records"]
    }
    listed = out / model_files.TENSOR_INDEX
    files[listed.name] = {"bytes": listed.stat().st_size, "sha256": file_digest(listed)}
    report = {
        "quant": {
            "name": quant.name,
            "bits": quant.bits,
            "group_size": quant.group_size,
            "dtype": quant.dtype,
            "scale_encoding": quant.scale_encoding,
        },
        "bytes": index["metadata"]["ParamBytes"],
        "files": files,
        "tensors": rows,
    }
    write_text(out / artifact_files.CONVERSION, json.dumps(report, indent=1) + "\n")


def _recorded_sources(convert_dir: Path) -> dict[str, dict[str, int]]:
    try:
        report = json.loads((convert_dir / artifact_files.CONVERSION).read_text(encoding="utf-8"))
        return {row["name"]: row["sources"] for row in report["tensors"]}
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise StageFailed(f"unreadable {convert_dir / artifact_files.CONVERSION}: {exc}") from exc
