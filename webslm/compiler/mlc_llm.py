"""Own the command line of mlc_llm: what a Python has of it, and its three commands, run there.

The commands and their flags are those of the releases from 0.19 on. What they write is checked by
those who call.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webslm.basics import fs, model_files, proc
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed, ToolFailed
from webslm.basics.paths import expanded
from webslm.compiler.mlc_failures import DOCS, explain

CONVERSATION = "chatml"
"""A template must be named; it enters no library, and the page gets the tokenizer's own."""
SOURCE_DIR = "MLC_LLM_SOURCE_DIR"
RUNTIME = Path("web") / "dist" / "wasm" / "mlc_wasm_runtime.bc"
PROBE_TIMEOUT_S = 300.0
OWN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
_EMCC = re.compile(r"\b(\d+\.\d+\.\d+)\b")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a Python has."""

    versions: Mapping[str, str | None]
    """By part: mlc-llm, tvm, emscripten, python; None: absent, or it does not say."""
    there: bool
    """Whether there is an mlc_llm at all."""
    error: str | None
    """Why it does not load."""

    @property
    def known(self) -> dict[str, str]:
        """The versions without what is absent or says none."""
        return {part: version for part, version in self.versions.items() if version is not None}


def interpreter(python: str) -> Path:
    """Return the program that ``compiler.python`` names; this Python for ``auto`` and ``here``.

    Raises:
        ConfigError: There is none.
    """
    if python in ("auto", "here"):
        return Path(sys.executable)
    found = shutil.which(expanded(python))
    if found is None:
        raise ConfigError(
            f"compiler.python: no program at {python!r}", hint="the path of a Python with mlc_llm"
        )
    return Path(found)


def probe(python: Path) -> Found:
    """Ask a Python for mlc_llm, TVM and emcc; nothing is changed.

    Raises:
        EnvironmentMismatch: It is no Python that runs.
    """
    script = Path(__file__).with_name("mlc_probe.py")
    try:
        # Isolated: else this folder's own mlc_llm.py would be the one that is found.
        argv: list[str | Path] = [python, "-I", script]
        text = proc.run(argv, env=_environment(python), timeout=PROBE_TIMEOUT_S)
        told = json.loads(text.splitlines()[-1])
    except (ToolFailed, ValueError, IndexError) as exc:
        why = exc.message if isinstance(exc, ToolFailed) else "its answer cannot be read"
        raise EnvironmentMismatch(
            f"compiler.python: {python} cannot be asked for mlc_llm: {why}",
            hint=f"name a Python of 3.10 or newer that has it ({DOCS})",
        ) from exc
    versions = {part: told[part] for part in ("mlc-llm", "tvm", "python")}
    return Found(
        versions={**versions, "emscripten": _emscripten(python)},
        there=told["there"],
        error=told["error"],
    )


def runtime_file() -> Path | None:
    """Return mlc_llm's runtime for the browser, None where the environment names none."""
    tree = os.environ.get(SOURCE_DIR)
    found = None if tree is None else expanded(tree) / RUNTIME
    return found if found is not None and found.is_file() else None


def make_library(
    python: Path,
    config: Mapping[str, Any],
    target: Path,
    *,
    quantization: str,
    context_window_size: int,
    prefill_chunk_size: int,
    opt_level: int,
    log_dir: Path,
) -> None:
    """Write a model library: ``gen_config``, then ``compile --device webgpu``.

    Args:
        python: The Python that has mlc_llm.
        config: The model's config.json.
        target: The library's file, whose name ends in ``.wasm``.
        quantization: The weight format's name.
        context_window_size: Tokens.
        prefill_chunk_size: Tokens worked on at once.
        opt_level: 0 to 3.
        log_dir: Where the commands' output is kept.

    Raises:
        StageFailed: A command failed; the sentence says why where that is known.
    """
    with fs.temporary_dir(target.parent, "mlc") as work:
        model, chat = _model(work, config, ()), work / "chat"
        kind = ("--quantization", quantization, "--model-type", str(config["model_type"]))
        sizes = (
            *("--context-window-size", str(context_window_size)),
            *("--prefill-chunk-size", str(prefill_chunk_size)),
            # A page has one conversation; the default plans memory for 128.
            *("--max-batch-size", "1"),
        )
        config_words = (*kind, "--conv-template", CONVERSATION, *sizes, "-o", chat)
        _run(python, "gen_config", (model / model_files.CONFIG, *config_words), work, log_dir)
        library_words = (*kind, "--device", "webgpu", "--opt", f"O{opt_level}", "-o", target)
        _run(python, "compile", (chat / model_files.CHAT_CONFIG, *library_words), work, log_dir)
    _check_written(target, log_dir)


def _check_written(target: Path, log_dir: Path) -> None:
    if not target.is_file():
        raise StageFailed(
            "mlc_llm compile: it ended well and wrote no library",
            hint=f"read {log_dir / 'mlc_llm-compile.log'}",
        )


def convert_weight(
    python: Path,
    config: Mapping[str, Any],
    checkpoint: Iterable[Path],
    target: Path,
    *,
    quantization: str,
    log_dir: Path,
) -> None:
    """Write a checkpoint's weights in a format into the folder ``target``.

    Args:
        python: The Python that has mlc_llm.
        config: The model's config.json.
        checkpoint: The safetensors files and their index, if there is one.
        target: The folder that is made.
        quantization: The weight format's name.
        log_dir: Where the command's output is kept.

    Raises:
        StageFailed: The command failed; the sentence says why where that is known.
    """
    with fs.temporary_dir(target.parent, "mlc") as work:
        # It writes an index beside the weights: a stored artifact may not change.
        model = _model(work, config, checkpoint)
        words = (
            model / model_files.CONFIG,
            *("--quantization", quantization, "--model-type", str(config["model_type"])),
            *("--device", "cpu", "--source", model, "--source-format", "huggingface-safetensor"),
            *("-o", target),
        )
        _run(python, "convert_weight", words, work, log_dir)


def _model(work: Path, config: Mapping[str, Any], files: Iterable[Path]) -> Path:
    folder = work / "model"
    folder.mkdir()
    fs.write_text(folder / model_files.CONFIG, json.dumps(config, indent=1, sort_keys=True) + "\n")
    for file in files:
        (folder / file.name).symlink_to(file.resolve())
    return folder


def _run(
    python: Path, command: str, words: Iterable[str | Path], work: Path, log_dir: Path
) -> None:
    log = log_dir / f"mlc_llm-{command}.log"
    log_dir.mkdir(parents=True, exist_ok=True)
    argv = [python, "-I", "-m", "mlc_llm", command, *words]
    try:
        proc.run(argv, cwd=work, env=_environment(python), log_path=log)
    except ToolFailed as exc:
        output = log.read_text(encoding="utf-8") if log.is_file() else exc.tail
        known = explain(output, exc.returncode)
        if known is None:
            raise StageFailed(
                f"mlc_llm {command} failed: {exc.message}", hint=f"all it said: {log}", log_path=log
            ) from exc
        sentence, hint = known
        raise StageFailed(f"mlc_llm {command} failed: {sentence}", hint=hint, log_path=log) from exc


def _environment(python: Path) -> dict[str, str]:
    """Return the variables of a child that must find its own modules and programs alone."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    path = f"{python.parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "PYTHONNOUSERSITE": "1"}


def _emscripten(python: Path) -> str | None:
    path = _environment(python)["PATH"]
    emcc = shutil.which("emcc", path=path)
    if emcc is None:
        return None
    try:
        first = proc.run([emcc, "--version"], env=_environment(python), timeout=PROBE_TIMEOUT_S)
    except ToolFailed:
        return None
    found = _EMCC.search(first)
    return found[1] if found else None
