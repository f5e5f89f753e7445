"""Measure what ``scale=awq`` saves on held-out rows of the medical tiny build.

    python -m bench.awq [OUTPUT [OVERRIDE ...]]

Builds (or finds in the store) each format plainly and with ``scale=awq`` up to ``convert``, reads
the weights back from the shards and compares them with the merged model, answer token by answer
token, on rows that neither training nor calibration saw. ``channels alone`` rounds the scaled
checkpoint plainly: what is left is what the clipping saves. Writes a Markdown table.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webslm.basics.paths import cache_dir
from webslm.basics.stage import Context
from webslm.config.compose import compose
from webslm.engine.stage_conf import convert as convert_conf
from webslm.evaluation import evaluating
from webslm.evaluation.evaluating import Probe
from webslm.evaluation.survival import Forced
from webslm.model.architectures import architecture
from webslm.model.prompts.ends import stop_ids
from webslm.rows.artifact import read_messages
from webslm.stages import convert
from webslm.training import loaded as reference
from webslm.training import turns
from webslm.training.torch_mode import reproducible

OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "bench/results/awq.md")
FORMATS = ("q4f32_1", "q3f16_1")
DOMAIN = "medical"
EXACT = "scaled, not rounded"


def main() -> None:
    """Build, compare, print and write the table."""
    rows: list[str] = []
    with tempfile.TemporaryDirectory() as folder, reproducible(0):
        for name in FORMATS:
            rows += _format(name, Path(folder))
    text = "\n".join((*_head(), *rows, *_tail())) + "\n"
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(text, encoding="utf-8")
    print(text)


def _format(name: str, folder: Path) -> list[str]:
    words = (f"domain={DOMAIN}", f"quant={name}", *sys.argv[2:])
    plain = _build(words, folder / f"{name}-plain")
    scaled = _build((*words, "scale=awq"), folder / f"{name}-awq")
    alone = folder / f"{name}-channels"
    alone.mkdir()
    cfg = compose(list(words))
    ctx = Context(cache_dir=folder, log_dir=folder)
    convert.run(convert_conf(cfg), {"merge": scaled["scale"]}, alone, ctx)
    probes = _held_out(plain)
    merged = evaluating.read(reference.load_model(plain["merge"]), probes)
    parameters = architecture(cfg.base.shape.model_type).parameters(cfg.base.shape)

    def ask(shards: Path) -> list[Forced]:
        state = convert.dequantized_state(shards, parameters, cfg.quant)
        return beside(reference.load_model(plain["merge"], state))

    def beside(model: Any) -> list[Forced]:
        return evaluating.force([merged, evaluating.read(model, probes)], probes)[1]

    same = beside(reference.load_model(scaled["scale"]))
    found = {
        EXACT: same,
        "plain": ask(plain["convert"]),
        "channels alone": ask(alone),
        "`scale=awq`": ask(scaled["convert"]),
    }
    return [_row(name, label, items, found["plain"]) for label, items in found.items()]


def _row(name: str, label: str, found: Sequence[Forced], plain: Sequence[Forced]) -> str:
    tokens = sum(row.tokens for row in found)
    loss = sum(row.loss for row in found) / tokens
    divergence = sum(row.divergence or 0.0 for row in found) / tokens
    top1 = sum(row.same or 0 for row in found) / tokens
    pairs = list(zip(found, plain, strict=True))
    nearer = sum((row.divergence or 0.0) < (other.divergence or 0.0) for row, other in pairs)
    less = sum(row.loss < other.loss for row, other in pairs)
    beats = "" if found is plain or label == EXACT else f"{less} / {nearer} of {len(pairs)}"
    # Sums of float32 logarithms: of nothing, a little less than nothing.
    divergence = round(divergence, 4) + 0.0
    return f"| {name} | {label} | {loss:.4f} | {divergence:.4f} | {100 * top1:.1f} % | {beats} |"


def _head() -> tuple[str, ...]:
    return (
        f"# What `scale=awq` saves ({DOMAIN} tiny build)",
        "",
        "| format | weights | held-out loss | KL from merged | same best token | rows better |",
        "|---|---|---:|---:|---:|---:|",
    )


def _tail() -> tuple[str, ...]:
    return (
        "",
        "Loss and KL in nats per answer token. *Rows better*: held-out rows whose loss / whose KL",
        "is lower than with plain rounding. *Channels alone*: scaled, rounded plainly.",
        "",
        f"`python -m bench.awq`, {platform.machine()}, CPU, torch float32.",
    )


def _held_out(stored: dict[str, Path]) -> list[Probe]:
    tokenizer = reference.load_tokenizer(stored["merge"])
    stops = stop_ids(stored["merge"], tokenizer)
    rows = read_messages(stored["data"] / "held_out.jsonl")
    return [
        Probe(prompt=prompt, answer=answer)
        for number, row in enumerate(rows, 1)
        for prompt, answer in (turns.encode_last(tokenizer, row, number=number, stops=stops),)
    ]


def _build(words: Sequence[str], output: Path) -> dict[str, Path]:
    """Build up to ``convert`` and return where its artifacts lie, by stage."""
    command = (sys.executable, "-m", "webslm", *words, "until=convert", f"output_dir={output}")
    subprocess.run(command, check=True)
    report: dict[str, Any] = json.loads((output / "report.json").read_text(encoding="utf-8"))
    root = cache_dir() / "artifacts"
    return {
        step["stage"]: root / step["stage"] / step["key"][:16] / "files" for step in report["steps"]
    }


if __name__ == "__main__":
    main()
