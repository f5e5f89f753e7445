"""Own report.html of one build: gather its facts, fill the template."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files
from webslm.basics.fs import write_text
from webslm.basics.keys import plain
from webslm.basics.stage import Result
from webslm.engine.plan import Step
from webslm.report import rows, survival
from webslm.report.pictures import Box, curve, plan_picture
from webslm.rows import artifact

NAME = "report.html"
MIB = 1 << 20
WORST_TENSORS = 12
CURVES = (
    ("base", artifact_files.BASE, "Pre-training of the embedded base"),
    ("finetune", artifact_files.TRAIN_LOG, "Fine-tune"),
)


def write_page(
    folder: Path,
    report: Mapping[str, Any],
    steps: Sequence[Step],
    results: Sequence[Result],
    matrix: Mapping[str, Any],
) -> None:
    """Write ``report.html``: self-contained, without scripts, readable in print.

    Args:
        folder: The output folder.
        report: What ``report.make_report`` returned.
        steps: The plan, also of what did not run.
        results: What ran or was stored.
        matrix: Versions that took part.
    """
    write_text(folder / NAME, render("report.html.j2", facts(report, steps, results, matrix)))


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return a template of this package filled in; everything is escaped but our own pictures."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("webslm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        mib=_mib, seconds=_seconds, percent=lambda share: f"{100 * share:.4g} %"
    )
    return environment.get_template(template).render(values)


def facts(
    report: Mapping[str, Any],
    steps: Sequence[Step],
    results: Sequence[Result],
    matrix: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the template shows."""
    done = {result.stage: result for result in results}
    walked = [{**step, "name": step["stage"]} for step in report["steps"]]
    return {
        "report": report,
        "command": " ".join(report["command"]),
        "plan": plan_picture([_plan_box(step, done, report.get("error")) for step in steps]),
        "steps": walked,
        "most_seconds": max((row["seconds"] for row in walked), default=0) or 1,
        "most_bytes": max((row["peak_rss_bytes"] for row in walked), default=0) or 1,
        "sizes": _sizes(report["metrics"]),
        "curves": [item for item in (_curve(done, *each) for each in CURVES) if item],
        "mask": _mask(done),
        **survival.facts(report["metrics"], [step.conf for step in steps]),
        **rows.facts(
            _read(done, "data", artifact.STATS), _read(done, "inspect", artifact_files.INSPECTION)
        ),
        "tensors": _tensors(_read(done, "convert", artifact_files.CONVERSION)),
        "scaling": report["metrics"].get("scale"),
        "proof": report.get("verify"),
        "answers": _answers(report.get("verify")),
        "picture": _picture(done),
        "matrix": _flat(matrix),
        "config": {step.stage: json.dumps(plain(step.conf), indent=1) for step in steps},
    }


def _plan_box(step: Step, done: Mapping[str, Result], error: Mapping[str, Any] | None) -> Box:
    result = done.get(step.stage)
    if result is not None:
        note = "stored" if result.status.value == "hit" else _seconds(result.seconds)
        return Box(name=step.stage, note=note, kind=result.status.value, needs=step.needs)
    failed = error is not None and error.get("stage") == step.stage
    kind = "failed" if failed else "waiting"
    return Box(name=step.stage, note="failed" if failed else "not run", kind=kind, needs=step.needs)


def _sizes(metrics: Mapping[str, Any]) -> list[tuple[str, int]]:
    named = (
        ("Weights", "convert", "bytes"),
        ("Library (.wasm)", "bundle", "library_bytes"),
        ("Library for float16 (.wasm)", "bundle", "f16_library_bytes"),
        ("Whole site", "bundle", "bytes"),
    )
    sizes = [
        (label, metrics[stage][key]) for label, stage, key in named if key in metrics.get(stage, {})
    ]
    memory = metrics.get("compile", {}).get("memory", {})
    for label, key in (("KV cache", "kv_cache_bytes"), ("Temporaries", "temporaries_bytes")):
        if key in memory:
            sizes.append((f"Graphics memory: {label}", memory[key]))
    return sizes


def _curve(done: Mapping[str, Result], stage: str, name: str, title: str) -> dict[str, Any] | None:
    points = _read(done, stage, name).get("loss")
    if not points:
        return None
    return {
        "title": title,
        "picture": curve(points, x="optimiser step", y="loss (nats a token)"),
        "first": points[0][1],
        "last": points[-1][1],
    }


def _mask(done: Mapping[str, Result]) -> list[dict[str, Any]]:
    """Return the trainer's own sample where no inspection shows better ones."""
    if "inspect" in done:
        return []
    pieces: list[dict[str, Any]] = _read(done, "finetune", artifact_files.TRAIN_LOG).get(
        "mask_sample", []
    )
    return pieces


def _tensors(converted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tensors that quantization changed most, worst first."""
    tensors = [t for t in converted.get("tensors", []) if t.get("rms_relative_error")]
    return sorted(tensors, key=lambda t: -float(t["rms_relative_error"]))[:WORST_TENSORS]


def _answers(proof: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if not proof:
        return []
    return [
        {**answer, "base": base["answer"], "base_rouge_l": base["rouge_l"]}
        for answer, base in zip(proof["answers"], proof["base_answers"], strict=True)
    ]


def _picture(done: Mapping[str, Result]) -> str | None:
    verify = done.get("verify")
    path = None if verify is None else verify.path / "page.png"
    if path is None or not path.is_file():
        return None
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _flat(matrix: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in matrix.items():
        if isinstance(value, Mapping):
            flat += _flat(value)
        elif value is not None:
            flat.append((f"{prefix}{name}", str(value)))
    return flat


def _read(done: Mapping[str, Result], stage: str, name: str) -> dict[str, Any]:
    result = done.get(stage)
    path = None if result is None else result.path / name
    if path is None or not path.is_file():
        return {}
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _mib(count: float) -> str:
    return f"{count / MIB:.2f} MiB" if count < 100 * MIB else f"{count / MIB:.0f} MiB"


def _seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"
