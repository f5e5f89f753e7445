"""``scale``: the merged checkpoint made ready for a weight format: scaled channels, group peaks.

What the checkpoint computes stays; what rounding does to it does not. ``convert`` packs it in
place of the merged one, which stays the model that everything is compared with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import model_files
from webslm.basics.fs import write_text
from webslm.basics.stage import Context, Metrics
from webslm.model.architectures import architecture
from webslm.model.architectures.decoder import FINAL_NORM, HEAD, Decoder
from webslm.model.weights.format import Format
from webslm.model.weights.quantization import dequantize, quantize
from webslm.rows import artifact
from webslm.schema import ScaleStageConf, ShapeConf
from webslm.stages.convert import LIMITS
from webslm.training import clipping, scaling, turns
from webslm.training.clipping import Peaks
from webslm.training.loaded import load_model
from webslm.training.scaling import Choice, Fold
from webslm.training.torch_mode import quiet, reproducible

if TYPE_CHECKING:
    from torch import Tensor

    from webslm.model.weights.quantization import Float32

REPORT = "scale.json"


def run(cfg: ScaleStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Scale ``inputs['merge']`` by training rows of ``inputs['data']``; write ``scale.json``.

    Raises:
        ConfigError: The weight format or the shape is impossible.
    """
    Format(cfg.quant).check()
    rows = artifact.read_messages(inputs["data"] / artifact.TRAIN)
    probes = turns.probe_ids(inputs["merge"], rows, count=cfg.rows, tokens=cfg.tokens)
    family = architecture(cfg.shape.model_type)
    found = list(folds(family, cfg.shape))
    weights = [s for p in family.parameters(cfg.shape) if p.quantize for s in p.sources]
    steps = len(found) + len(weights)

    def report(done: int, name: str) -> None:
        ctx.progress.update(done, steps, name)

    with reproducible(0), quiet():
        model = load_model(inputs["merge"])
        chosen, given = scaling.scale(
            model,
            found,
            probes,
            lambda weight: _kept(cfg, weight, None),
            dtype=cfg.quant.dtype,
            report=report,
        )
        model.save_pretrained(out)
        peaks: dict[str, Peaks] = {}
        for name in weights:
            report(len(found) + len(peaks), name)
            peaks[name] = _search(cfg, model, name, given)
    _write_limits(out / LIMITS, peaks)
    return _write_report(out, chosen, peaks) | {"rows": len(probes)}


def _kept(cfg: ScaleStageConf, weight: Float32, peaks: Float32 | None) -> Float32:
    codes, scales = quantize(weight, cfg.quant, peaks)
    return dequantize(codes, scales, weight.shape[1], cfg.quant)


def _search(cfg: ScaleStageConf, model: Any, name: str, given: Mapping[str, Tensor]) -> Peaks:
    return clipping.search(
        model.get_parameter(name).detach(),
        given.get(name.removesuffix(".weight")),
        lambda weight, peaks: _kept(cfg, weight, peaks),
        cfg.quant.group_size,
    )


def _write_limits(folder: Path, peaks: Mapping[str, Peaks]) -> None:
    from safetensors.torch import save_file

    folder.mkdir()
    save_file({name: found.peaks for name, found in peaks.items()}, folder / model_files.WEIGHTS)


def _write_report(
    out: Path, chosen: Mapping[str, Choice], peaks: Mapping[str, Peaks]
) -> dict[str, float | int]:
    """Write ``scale.json`` and return it in short."""
    folded = {name: _row(choice) for name, choice in chosen.items()}
    clipped = {
        name: {
            "clipped": _digits(found.clipped),
            "error_ratio": _ratio(found.error, found.plain_error),
        }
        for name, found in peaks.items()
    }
    write_text(out / REPORT, json.dumps({"folds": folded, "peaks": clipped}, indent=1) + "\n")
    scaled = [_ratio(choice.error, choice.plain_error) for choice in chosen.values()]
    return {
        "folds": len(folded),
        "scaled": sum(choice.strength > 0 for choice in chosen.values()),
        "scaling_error_ratio": _mean(scaled),
        "clipped": _mean([row["clipped"] for row in clipped.values()]),
        "clipping_error_ratio": _mean([row["error_ratio"] for row in clipped.values()]),
    }


def folds(decoder: Decoder, shape: ShapeConf) -> Iterator[Fold]:
    """Yield where a shape can be scaled without changing what it computes.

    A tied head is none: its table writes the residual stream too. Neither queries nor keys are
    written by rows: their rotation and norms would not commute with the factors.
    """
    style = decoder.style
    queries = shape.num_attention_heads * shape.head_dim
    values = shape.num_key_value_heads * shape.head_dim
    inner = shape.intermediate_size
    before = "pre_feedforward_layernorm" if style.post_norms else "post_attention_layernorm"
    for layer in range(shape.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        attention, mlp = f"{prefix}.self_attn", f"{prefix}.mlp"
        qkv = tuple(f"{attention}.{part}_proj" for part in "qkv")
        gated: tuple[str, ...] = (f"{mlp}.gate_proj", f"{mlp}.up_proj")
        first_value, first_up = 0, 0
        if style.fused:
            qkv, gated = (f"{attention}.qkv_proj",), (f"{mlp}.gate_up_proj",)
            first_value, first_up = queries + values, inner
        yield Fold(readers=qkv, writer=f"{prefix}.input_layernorm", offset=style.norm_offset)
        yield Fold(
            readers=(f"{attention}.o_proj",),
            writer=qkv[-1],
            rows=(first_value, first_value + values),
            head_dim=shape.head_dim,
            sharing=shape.num_attention_heads // shape.num_key_value_heads,
        )
        yield Fold(readers=gated, writer=f"{prefix}.{before}", offset=style.norm_offset)
        yield Fold(
            readers=(f"{mlp}.down_proj",),
            writer=gated[-1],
            rows=(first_up, first_up + inner),
        )
    if not shape.tie_word_embeddings:
        yield Fold(readers=(HEAD,), writer=FINAL_NORM, offset=style.norm_offset)


def _row(choice: Choice) -> dict[str, float]:
    """Return a fold's choice; errors are root mean squares over that of the outputs."""
    return {
        "strength": choice.strength,
        "plain_error": _digits(math.sqrt(_ratio(choice.plain_error, choice.reference))),
        "error": _digits(math.sqrt(_ratio(choice.error, choice.reference))),
    }


def _mean(values: Sequence[float]) -> float:
    return _digits(sum(values) / len(values))


def _ratio(part: float, whole: float) -> float:
    """Return a ratio; of nothing, 1: a weight of zeros loses nothing."""
    return _digits(part / whole) if whole else 1.0


def _digits(value: float) -> float:
    """Four digits: the last bits of a sum follow the machine's vector width."""
    return float(f"{value:.4g}")
