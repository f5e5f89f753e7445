"""Convert and compile base groups at full size with random weights; write a table.

Run: python -m bench.bases [GROUP…] [--quant=q4f16_1] [--only=compile]. Every stage runs anew, in
processes of its own; needs 2.6 bytes of disk per parameter (10 GB for the largest), no network.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.dawn import cost
from webslm.basics.paths import cache_dir
from webslm.basics.stage import Context
from webslm.config.compose import compose
from webslm.engine.table import STAGES
from webslm.model.weights.checkpoint import BLOCK_BYTES
from webslm.model.weights.quantization import quantize
from webslm.schema import Config, QuantConf

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).resolve().parent / "results" / "bases.md"
DEFAULT = (
    *("qwen2_5_0_5b", "qwen2_5_1_5b", "llama_3_2_1b", "phi_3_5_mini"),
    *("smollm2_135m", "qwen3_0_6b", "gemma_3_1b"),
)
NEEDED = {
    None: ("base", "convert", "compile"),
    "convert": ("base", "convert"),
    "compile": ("compile",),
}
"""Stages that are run by the one that is asked for."""
PACKED_BLOCKS = 24
READ_BYTES = 8 << 20
COLUMNS = (
    *("base", "format", "parameters M", "convert MB/s", "packer MB/s", "disk MB/s", "convert s"),
    *("convert CPU s", "convert MiB", "stored MB"),
    *("compile s", "compile CPU s", "compile MiB", "wasm MB", "gzip MB", "shaders"),
    *("dispatches a token", "weights a token MB", "cache a token KB"),
)
ABOUT = """\
`{command}` on {date}: random weights, {cores} of {all} shared cores
({processor}), load {load:.0f}.

- *convert MB/s*: bytes of the checkpoint over the stage's seconds: read, packed, written, compared
  and hashed. *packer MB/s*: the packing alone, of a block in memory, in the same bytes. *disk
  MB/s*: the same checkpoint read and not looked at, its pages dropped from memory first.
- *CPU s*: processor seconds of the stage's processes, their start and imports counted: what a
  shared machine leaves comparable.
- *MiB*: the most memory of any process of the stage; zig's linker and Python itself are counted.
- *Dispatches a token*: counted in the compiled library, with the sampler of a temperature above
  zero; `dawn.md` counts them while they run. *Weights a token*: what each token reads, and *cache
  a token*: for every token before it."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the stages of one base group showed."""

    metrics: dict[str, Any]
    seconds: dict[str, float]
    peak: dict[str, int]
    """Peak resident bytes of the largest process of a stage."""
    cpu: dict[str, float]
    """Processor seconds of all processes of a stage."""
    disk_mb_s: float
    gzip_bytes: int | None
    """Of the compressed library; None where none was made."""


def configuration(base: str, quant: str) -> Config:
    """Return the build of a base group with random weights."""
    return compose([f"base={base}", "base.weights=random", "finetune=none", f"quant={quant}"])


def run_stage(name: str, base: str, quant: str, checkpoint: str, out: str) -> None:
    """Run one stage into ``out``; leave its metrics, seconds and peak bytes beside it."""
    spec = next(spec for spec in STAGES if spec.name == name)
    run = importlib.import_module(f"webslm.stages.{name}").run
    folder = Path(out)
    folder.mkdir()
    started = time.perf_counter()
    metrics = run(
        spec.configure(configuration(base, quant)),
        {"merge": Path(checkpoint)},
        folder,
        Context(cache_dir=cache_dir(), log_dir=folder.parent),
    )
    seconds = time.perf_counter() - started
    seen = {"metrics": dict(metrics), "seconds": seconds, "peak": largest_process()}
    folder.with_suffix(".json").write_text(json.dumps(seen), encoding="utf-8")


def largest_process() -> int:
    """Return the peak resident bytes of this process or of the largest one that it waited for.

    Not what a parent is told of this one: that begins with the parent's own memory at the start.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = int(status.partition("VmHWM:")[2].split()[0])
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024


def watched(words: list[str]) -> float:
    """Run a stage in processes of its own; return their processor seconds.

    Raises:
        CalledProcessError: It failed.
    """
    command = [sys.executable, "-m", "bench.bases", "--stage", *words]
    child = subprocess.Popen(command, cwd=ROOT)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return usage.ru_utime + usage.ru_stime


def build(base: str, quant: str, only: str | None) -> Measured:
    """Make a base and run the stages that are measured, each in processes of its own."""
    with tempfile.TemporaryDirectory(prefix="webslm-bench-") as root:
        folder = Path(root)
        metrics, seconds, peak, cpu = {}, {}, {}, {}
        for name in NEEDED[only]:
            words = [name, base, quant, str(folder / "base"), str(folder / name)]
            cpu[name] = watched(words)
            seen = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            metrics[name], seconds[name] = seen["metrics"], seen["seconds"]
            peak[name] = seen["peak"]
        libraries = list((folder / "compile").glob("library-*.wasm"))
        return Measured(
            metrics=metrics,
            seconds=seconds,
            peak=peak,
            cpu=cpu,
            disk_mb_s=disk_speed(sorted((folder / "base").glob("*.safetensors"))),
            gzip_bytes=len(gzip.compress(libraries[0].read_bytes(), 9)) if libraries else None,
        )


def disk_speed(files: list[Path]) -> float:
    """Return MB/s of reading files from the disk, not from memory."""
    seconds, size = 0.0, 0
    for path in files:
        with path.open("rb", buffering=0) as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            started = time.perf_counter()
            while block := file.read(READ_BYTES):
                size += len(block)
            seconds += time.perf_counter() - started
    return size / seconds / 1e6 if seconds else 0.0


def packer_speed(quant: QuantConf, columns: int) -> float:
    """Return MB/s of packing a block in memory, in bytes of a 16-bit checkpoint."""
    import numpy as np

    rows = BLOCK_BYTES // (4 * columns)
    block = np.random.default_rng(0).standard_normal((rows, columns), dtype=np.float32)
    quantize(block, quant)
    started = time.perf_counter()
    for _ in range(PACKED_BLOCKS):
        quantize(block, quant)
    return 2 * block.size * PACKED_BLOCKS / (time.perf_counter() - started) / 1e6


def dispatches(cfg: Config) -> int:
    """Compile once more in this process and count the dispatches of a decoded token."""
    from webslm.compiler.library import compile_library, webgpu_target
    from webslm.compiler.passes.limits import shaders
    from webslm.model.architectures import architecture

    compiled = compile_library(
        cfg.base.shape,
        cfg.quant,
        context_window_size=cfg.compiler.context_window_size,
        prefill_chunk_size=cfg.compiler.prefill_chunk_size,
        target=webgpu_target(),
        opt_level=cfg.compiler.opt_level,
    )
    rotates = not architecture(cfg.base.shape.model_type).style.head_norms
    executable = compiled.executable
    return cost.dispatches(executable.as_text(), shaders(executable), rotates=rotates)


def row(base: str, quant: str, seen: Measured) -> str:
    """Return a line of the table."""
    cfg = configuration(base, quant)
    cells = [base, quant]
    if "convert" in seen.metrics:
        convert = seen.metrics["convert"]
        packer = packer_speed(cfg.quant, cfg.base.shape.hidden_size) if cfg.quant.bits else 0.0
        cells += [
            f"{seen.metrics['base']['parameters'] / 1e6:,.0f}",
            f"{convert['read_mb_per_s']:.0f}",
            f"{packer:.0f}" if packer else "",
            f"{seen.disk_mb_s:.0f}",
            f"{seen.seconds['convert']:.1f}",
            f"{seen.cpu['convert']:.1f}",
            f"{seen.peak['convert'] / 2**20:.0f}",
            f"{convert['bytes'] / 1e6:.0f}",
        ]
    else:
        cells += [""] * 8
    if seen.gzip_bytes is None:
        cells += [""] * 7
    else:
        cells += [
            f"{seen.seconds['compile']:.1f}",
            f"{seen.cpu['compile']:.1f}",
            f"{seen.peak['compile'] / 2**20:.0f}",
            f"{seen.metrics['compile']['wasm_bytes'] / 1e6:.2f}",
            f"{seen.gzip_bytes / 1e6:.2f}",
            f"{seen.metrics['compile']['num_shaders']}",
            f"{dispatches(cfg)}",
        ]
    cells += [
        f"{cost.weight_bytes(cfg.base.shape, cfg.quant) / 1e6:.0f}",
        f"{cost.cache_bytes_per_token(cfg.base.shape, cfg.quant) / 1e3:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def processor() -> str:
    """Return what the machine calls its processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unnamed"


def page(rows: list[str], words: list[str]) -> str:
    """Return the whole results page."""
    about = ABOUT.format(
        command=" ".join(["python -m bench.bases", *words]),
        date=time.strftime("%Y-%m-%d"),
        cores=len(os.sched_getaffinity(0)),
        all=os.cpu_count(),
        processor=processor(),
        load=os.getloadavg()[2],
    )
    head = f"| {' | '.join(COLUMNS)} |"
    rule = f"|---|---|{'---:|' * (len(COLUMNS) - 2)}"
    return "\n".join(["# Bases at full size", "", about, "", head, rule, *rows, ""])


def main(words: list[str]) -> None:
    """Build what is asked for and write the table."""
    if words[:1] == ["--stage"]:
        run_stage(*words[1:])
        return
    named = dict(word.removeprefix("--").split("=") for word in words if word.startswith("-"))
    quant, only = named.get("quant", "q4f16_1"), named.get("only")
    bases = [word for word in words if not word.startswith("-")] or list(DEFAULT)
    rows = []
    for base in bases:
        rows.append(row(base, quant, build(base, quant, only)))
        print(rows[-1], flush=True)
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(page(rows, words), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
