"""Kill a build's fine-tune with SIGKILL at random moments and compare what it ends with.

Run: python bench/resume.py [KILLS]. Two empty stores: in one the build is killed and started again
with the same command, in the other it runs undisturbed. Needs no network. Edit no source meanwhile:
keys hold the code's digest, and another key starts anew.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from webslm.basics.keys import file_digest

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).resolve().parent / "results" / "resume.md"
EPOCHS = 40
WORDS = (
    "base=tiny",
    "base.shape.hidden_size=64",
    "base.shape.intermediate_size=128",
    "base.shape.num_hidden_layers=2",
    "base.shape.num_attention_heads=2",
    "base.shape.num_key_value_heads=1",
    "base.shape.head_dim=32",
    "base.tiny.steps=4",
    "lora.dropout=0.1",
    f"lora.epochs={EPOCHS}",
    "launch.checkpoint_seconds=0",
    "until=finetune",
    "output_dir=out",
)


def start(cwd: Path) -> subprocess.Popen[bytes]:
    """Start the build in a process group of its own, its store below ``cwd``."""
    return subprocess.Popen(
        [sys.executable, "-m", "webslm", *WORDS],
        cwd=cwd,
        env={**os.environ, "WEBSLM_CACHE": str(cwd / "cache"), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def kept(cwd: Path) -> int:
    """Return the step of the newest whole checkpoint."""
    found = (cwd / "cache" / "unfinished" / "finetune").glob("*/step-*")
    return max((int(path.name.removeprefix("step-")) for path in found), default=0)


def kill(cwd: Path, moments: random.Random) -> tuple[int, bool]:
    """Build, kill at a random moment of training; return (step kept, whether one was half written).

    Raises:
        RuntimeError: The build ended before.
    """
    wanted = kept(cwd) + moments.randint(1, 12)
    process = start(cwd)
    while process.poll() is None and kept(cwd) < wanted:
        time.sleep(0.001)
    time.sleep(moments.uniform(0, 0.3))
    if process.poll() is not None:
        raise RuntimeError(f"the build ended with {process.returncode} before it was killed")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    half = list((cwd / "cache" / "unfinished" / "finetune").glob("*/.writing-*/checkpoint-*/*"))
    return kept(cwd), bool(half)


def finish(cwd: Path) -> tuple[dict[str, str], dict[str, object]]:
    """Build to the end; return the digests of the adapter's files and the stage's metrics."""
    if start(cwd).wait() != 0:
        raise RuntimeError("the build failed")
    (folder,) = (cwd / "cache" / "artifacts" / "finetune").glob("[0-9a-f]*")
    manifest = json.loads((folder / "artifact.json").read_text(encoding="utf-8"))
    files = {path.name: file_digest(path) for path in sorted((folder / "files").iterdir())}
    return files, manifest["metrics"]


def main(kills: int) -> None:
    """Kill, finish, compare, write."""
    moments = random.Random(kills)
    with tempfile.TemporaryDirectory(prefix="webslm-resume-") as folder:
        killed, whole = Path(folder) / "killed", Path(folder) / "whole"
        killed.mkdir()
        whole.mkdir()
        rows = []
        for number in range(1, kills + 1):
            step, half = kill(killed, moments)
            rows.append(f"| {number} | {step} | {'yes' if half else 'no'} |")
            print(rows[-1], flush=True)
        ours, metrics = finish(killed)
        theirs, undisturbed = finish(whole)
        left = list((killed / "cache" / "unfinished").rglob("*.safetensors"))
    same = "equal" if ours == theirs else "DIFFERENT"
    lines = [
        "# A fine-tune killed and resumed",
        "",
        f"`python bench/resume.py {kills}`: the build killed with SIGKILL {kills} times at random "
        f"moments of {metrics['steps']} steps, a checkpoint after every step, dropout 0.1; then "
        "run to the end, and once undisturbed in another store.",
        "",
        f"Bytes of all {len(ours)} files: **{same}**. The last start went on from step "
        f"{metrics['resumed_at']}; the undisturbed one from {undisturbed['resumed_at']}. "
        f"Checkpoint files left behind: {len(left)}.",
        "",
        *(
            f"- `{file}` {digest[:16]} / {theirs.get(file, '')[:16]}"
            for file, digest in ours.items()
        ),
        "",
        "| kill | last whole checkpoint (step) | another was half written |",
        "|---:|---:|---|",
        *rows,
        "",
    ]
    TABLE.write_text("\n".join(lines), encoding="utf-8")
    if ours != theirs:
        sys.exit("the bytes differ")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
