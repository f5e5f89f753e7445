"""Own where a row's compiler runs: in this Python, or in an environment of its own.

Rows that need different releases of one wheel cannot share an environment; a virtual environment
per set of pins lies below ``tools/toolchains`` in the cache, made once by pip and whole or absent.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from webslm.basics import child, proc
from webslm.basics.errors import (
    ConfigError,
    EnvironmentMismatch,
    StageFailed,
    ToolFailed,
)
from webslm.basics.fs import sync_tree, temporary_dir, write_text
from webslm.basics.keys import canonical_json, text_digest
from webslm.basics.paths import PACKAGE, expanded
from webslm.basics.stage import Context, Metrics
from webslm.engine.machine.matrix import installed

STAMP = "webslm.json"
OWN_WHEELS = ("omegaconf",)
"""What the schema needs beside the row's wheels; of this Python's version."""
INSTALL_TIMEOUT_S = 1800.0
CHOICES = ("auto", "here", "isolated")
Note = Callable[[str], None]


def is_elsewhere(python: str, wheels: Mapping[str, str]) -> bool:
    """Tell whether the compiler runs in another Python than this one.

    Args:
        python: ``compiler.python``.
        wheels: The row's pins of the compiler's wheels.
    """
    if python == "auto":
        return installed(wheels) != dict(wheels)
    return python != "here"


def interpreter(
    cache_dir: Path, python: str, wheels: Mapping[str, str], note: Note | None = None
) -> Path | None:
    """Return the Python that compiles, made where it is not there yet; None means this one.

    Raises:
        ConfigError: A path was named where no program lies.
        EnvironmentMismatch: pip could not make the environment.
    """
    if not is_elsewhere(python, wheels):
        return None
    if python in CHOICES:
        return environment(cache_dir, wheels, note) / "bin" / "python"
    found = shutil.which(expanded(python))
    if found is None:
        raise ConfigError(
            f"compiler.python: no program at {python!r}", hint=f"{', '.join(CHOICES)} or a path"
        )
    return Path(found)


def environment_dir(cache_dir: Path, wheels: Mapping[str, str]) -> Path:
    """Return where the environment of a set of pins lies or would lie."""
    name = text_digest(canonical_json([_pins(wheels), sys.version_info[:2], sys.base_prefix]))
    return cache_dir / "tools" / "toolchains" / name[:16]


def environment(cache_dir: Path, wheels: Mapping[str, str], note: Note | None = None) -> Path:
    """Return a virtual environment that holds exactly ``wheels`` and what they need.

    Raises:
        EnvironmentMismatch: venv or pip failed; nothing is left behind.
    """
    folder = environment_dir(cache_dir, wheels)
    if (folder / STAMP).is_file() and (folder / "bin" / "python").exists():
        return folder
    pins = [f"{name}=={version}" for name, version in _pins(wheels).items()]
    if note is not None:
        note(f"making the row's own environment: {' '.join(pins)}")
    with temporary_dir(folder.parent, "venv") as work:
        made = work / "env"
        python = made / "bin" / "python"
        quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
        try:
            proc.run([sys.executable, "-m", "venv", made])
            proc.run([python, "-m", "pip", "install", *quiet, *pins], timeout=INSTALL_TIMEOUT_S)
            frozen = proc.run([python, "-m", "pip", "freeze", "--disable-pip-version-check"])
        except ToolFailed as exc:
            raise EnvironmentMismatch(
                f"the environment for {' '.join(pins)} could not be made: {exc.message}",
                hint="check the network and pip's index, or choose a row that is installed here: "
                "python -m webslm doctor",
            ) from exc
        write_text(made / STAMP, json.dumps({"wheels": frozen.split("\n")}, indent=1) + "\n")
        sync_tree(made)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rename(made, folder)
        except OSError:
            # Another process was first; its environment holds the same pins.
            if not (folder / STAMP).is_file():
                raise
    return folder


def run_stage(
    python: Path, stage: str, conf: Any, out: Path, ctx: Context, wheels: Mapping[str, str]
) -> Metrics:
    """Run a stage without inputs in another Python and return its metrics.

    Args:
        python: The interpreter.
        stage: The stage's name.
        conf: Its configuration, a dataclass.
        out: Its empty output folder.
        ctx: The caller's context; the child's notes are not shown.
        wheels: Pins that the child checks before it works.

    Raises:
        WebslmError: What the stage raised there.
        StageFailed: The child died.
    """
    with tempfile.TemporaryDirectory(prefix="webslm-") as name:
        work = Path(name)
        # The package alone: its neighbours in a site-packages folder must not shadow the wheels.
        (work / "path").mkdir()
        (work / "path" / PACKAGE.name).symlink_to(PACKAGE, target_is_directory=True)
        job = {
            "stage": stage,
            "kind": type(conf).__name__,
            "conf": conf,
            "wheels": wheels,
            "out": str(out.resolve()),
            "cache_dir": str(ctx.cache_dir.resolve()),
            "log_dir": str(ctx.log_dir.resolve()),
        }
        argv: list[str | Path] = [
            python,
            "-m",
            "webslm.engine.machine.child",
            child.write_job(work, job),
        ]
        try:
            proc.run(argv, cwd=work, env=_child_environment(work / "path"))
        except ToolFailed as exc:
            raise StageFailed(
                f"{stage}: the compiler's own Python failed: {exc.message}",
                hint=f"its last lines: {exc.tail[-600:]}" if exc.tail else None,
            ) from exc
        metrics: Metrics = child.result(work / child.ANSWER)
    return metrics


def _pins(wheels: Mapping[str, str]) -> dict[str, str]:
    own = {name: version for name, version in installed(OWN_WHEELS).items() if version}
    return dict(sorted({**wheels, **own}.items()))


def _child_environment(path: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }
    return {**kept, "PYTHONPATH": str(path), "PYTHONNOUSERSITE": "1"}
