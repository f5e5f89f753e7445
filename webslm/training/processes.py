"""Own the start of several training processes: the job they read, their progress, their end.

torchrun starts ``webslm.training.worker`` once per process; trl's trainer finds the others through
accelerate. Multi-node training is not started from here.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webslm.basics import child, proc
from webslm.basics.errors import EnvironmentMismatch, StageFailed, ToolFailed, WebslmError
from webslm.basics.fs import temporary_dir
from webslm.basics.stage import Context, loss_report
from webslm.schema import FinetuneStageConf, Sharding
from webslm.training.methods import find_device
from webslm.training.trainer import Training

PROGRESS = "progress.jsonl"
FIRST = 0
"""Rank of the process that reports and whose result counts."""
LOG = "training-processes.log"
POLL_S = 0.5


def finetune(
    cfg: FinetuneStageConf, *, base: Path, data: Path, out: Path, ctx: Context
) -> Training:
    """Tune an adapter with ``cfg.launch.processes`` processes and write it to ``out``.

    Raises:
        ConfigError: As a single process raises it.
        EnvironmentMismatch: Fewer GPUs than processes, or sharding without GPUs.
        StageFailed: As a single process raises it, or a process was lost.
    """
    on_cpu = _check_machine(cfg)
    with temporary_dir(ctx.cache_dir / "work", "training") as work:
        job = {
            "base": str(base.resolve()),
            "data": str(data.resolve()),
            "method": cfg.method,
            "lora": cfg.lora,
            "launch": cfg.launch,
            "seed": cfg.seed,
            "out": str(out.resolve()),
            "work": str(work.resolve()),
            "owner": os.getpid(),
        }
        file = child.write_job(work, job)
        ctx.log_dir.mkdir(parents=True, exist_ok=True)
        log_path = ctx.log_dir / LOG
        with _followed(work / PROGRESS, ctx):
            try:
                proc.run(_command(cfg, file), env=_environment(on_cpu=on_cpu), log_path=log_path)
            except ToolFailed as exc:
                raise _reason(work, log_path, exc) from exc
        return Training(**child.result(answer_file(work, FIRST)))


def answer_file(work: Path, rank: int) -> Path:
    """Return where a process writes what came of it."""
    return work / f"{rank:04d}-{child.ANSWER}"


def _check_machine(cfg: FinetuneStageConf) -> bool:
    """Return whether the processes share CPU cores."""
    import torch

    device = find_device(cfg.lora.device)
    if device == "cpu":
        if cfg.launch.sharding is Sharding.fsdp:
            raise EnvironmentMismatch(
                "launch.sharding: fsdp needs GPUs, and this machine has none",
                hint="launch=processes shares the batches among CPU cores",
            )
        return True
    found = torch.cuda.device_count()
    if found < cfg.launch.processes:
        raise EnvironmentMismatch(
            f"launch.processes: {cfg.launch.processes} processes and {found} GPUs",
            hint=f"launch.processes={found}, or lora.device=cpu",
        )
    return False


def _command(cfg: FinetuneStageConf, job: Path) -> list[str | Path]:
    return [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--local-addr=localhost"),
        *(f"--nproc-per-node={cfg.launch.processes}", "--nnodes=1", "--max-restarts=0"),
        *("--module", "webslm.training.worker", job),
    ]


def _environment(*, on_cpu: bool) -> dict[str, str]:
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if on_cpu:
        # Sums are split by thread: one each gives every machine the same bytes.
        found.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    return found


@contextmanager
def _followed(path: Path, ctx: Context) -> Iterator[None]:
    """Report the steps that the first process writes down."""
    report, ended = loss_report(ctx.progress), threading.Event()

    def follow() -> None:
        seen = 0
        while True:
            last = ended.wait(POLL_S)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            lines = text[: text.rfind("\n") + 1].splitlines()
            for line in lines[seen:]:
                step, steps, loss = json.loads(line)
                report(step, steps, loss)
            seen = len(lines)
            if last:
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _reason(work: Path, log_path: Path, error: ToolFailed) -> Exception:
    """Return what a process said, or which one was lost."""
    for file in sorted(work.glob(f"*-{child.ANSWER}")):
        try:
            child.result(file, log_path)
        except WebslmError as exc:
            return exc
    text = log_path.read_text(encoding="utf-8") if log_path.exists() else error.tail
    # torchrun's summary ends with the first failure.
    found = re.findall(r"rank\s*: (\d+) .*?\n\s*exitcode\s*: (-?\d+)", text)
    who = f"process {found[-1][0]} ended with code {found[-1][1]}" if found else error.message
    return StageFailed(
        f"finetune: a training process was lost: {who}",
        hint="its last words are in the log; less memory: lora.batch_size, more processes",
        log_path=log_path,
    )
