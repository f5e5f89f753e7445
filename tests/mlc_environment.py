"""An environment with the stand-in of mlc_llm: a real interpreter, real metadata, real programs."""

from __future__ import annotations

import json
import sysconfig
import venv
from pathlib import Path

from webslm.basics.paths import PACKAGE

STAND_IN = Path(__file__).parent / "mlc_stand_in"


def make_environment(
    folder: Path,
    *,
    mlc_llm: str | None = "0.20.0",
    tvm: str | None = "0.27.dev0",
    emcc: str | None = "3.1.56",
) -> Path:
    """Return the Python of a new environment.

    Args:
        folder: Where it is made.
        mlc_llm: Version of the stand-in; None: there is none.
        tvm: Version of an empty tvm; None: the wheel that webslm itself uses.
        emcc: Version of an emcc that only says it; None: there is none.
    """
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    lines = [str(PACKAGE.parent), sysconfig.get_path("purelib")]
    if mlc_llm is not None:
        lines.insert(0, str(STAND_IN))
        _distribution(packages, "mlc-llm", "mlc_llm", mlc_llm)
    if tvm is not None:
        _distribution(packages, "mlc-ai", "tvm", tvm)
        (packages / "tvm").mkdir()
        (packages / "tvm" / "__init__.py").write_text("", encoding="utf-8")
    (packages / "stand_in.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if emcc is not None:
        program = folder / "bin" / "emcc"
        program.write_text(f"#!/bin/sh\necho 'emcc (Emscripten) {emcc} (abc)'\n", encoding="utf-8")
        program.chmod(0o755)
    return folder / "bin" / "python"


def make_tree(folder: Path) -> Path:
    """Return a source tree whose runtime for the browser was built."""
    runtime = folder / "web" / "dist" / "wasm" / "mlc_wasm_runtime.bc"
    runtime.parent.mkdir(parents=True)
    runtime.write_bytes(b"BC")
    return folder


def recorded(record: Path) -> list[list[str]]:
    """Return the commands that the stand-in was called with."""
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    return [json.loads(line) for line in lines]


def _distribution(packages: Path, name: str, module: str, version: str) -> None:
    info = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(text, encoding="utf-8")
    (info / "top_level.txt").write_text(f"{module}\n", encoding="utf-8")
    (info / "RECORD").write_text(f"{module}/__init__.py,,\n", encoding="utf-8")
