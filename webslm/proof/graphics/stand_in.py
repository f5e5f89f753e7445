"""Own the libraries that bring lavapipe into Chromium: built by zig once, content-addressed.

``redirect`` is preloaded and answers where Dawn opens SwiftShader; ``stand_in`` is what it then
gets, lavapipe by another name. Neither is linked with a C library: the browser's own serves.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from webslm.basics import fs
from webslm.basics.errors import EnvironmentMismatch
from webslm.compiler.wasm.zig import run_zig

NATIVE = Path(__file__).resolve().parent / "native"
REDIRECT, STAND_IN = "libwebslm_redirect.so", "libwebslm_stand_in.so"
SOURCES = {REDIRECT: "redirect.c", STAND_IN: "stand_in.c"}
# The oldest C library that manylinux wheels know; only its headers are used.
TARGET = "{machine}-linux-gnu.2.17"
COMPILE_FLAGS = ("-fPIC", "-O2", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")
LINK_FLAGS = ("-shared", "-nostdlib", "-s")
ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A built pair of libraries."""

    folder: Path
    sha256: str
    """Of the library that stands in for SwiftShader."""


def build_stand_in(cache_dir: Path, machine: str | None = None) -> StandIn:
    """Return the libraries below ``cache_dir``, building them when they are not there (a second).

    Args:
        cache_dir: Folder of them all; made when absent. Two processes may build at once.
        machine: Processor to build for; this one when None.

    Raises:
        EnvironmentMismatch: The ziglang wheel is not installed, or the folder cannot be written.
        ToolFailed: zig failed.
    """
    target = TARGET.format(machine=_zig_name(machine or platform.machine()))
    folder = cache_dir / _digest(target)[:16]
    if not all((folder / name).is_file() for name in SOURCES):
        try:
            _build(target, folder)
        except OSError as exc:
            raise EnvironmentMismatch(
                f"graphics: {cache_dir} cannot be written: {exc.strerror}",
                hint="choose another folder: export WEBSLM_CACHE=FOLDER",
            ) from exc
    sha256 = hashlib.sha256((folder / STAND_IN).read_bytes()).hexdigest()
    return StandIn(folder=folder, sha256=sha256)


def _build(target: str, folder: Path) -> None:
    with fs.temporary_dir(folder.parent, "build") as work:
        built = work / "built"
        built.mkdir()
        for name, source in SOURCES.items():
            (work / source).write_bytes((NATIVE / source).read_bytes())
            compiled = ("cc", "-target", target, "-c", *COMPILE_FLAGS, source, "-o", f"{name}.o")
            run_zig(compiled, cwd=work, cache=work / "zig")
            linked = ("cc", "-target", target, *LINK_FLAGS, f"{name}.o", "-o", f"built/{name}")
            run_zig(linked, cwd=work, cache=work / "zig")
        fs.sync_tree(built)
        try:
            built.rename(folder)
        except OSError:
            # Another process was faster: its folder holds the same bytes.
            if not folder.is_dir():
                raise


@lru_cache
def _digest(target: str) -> str:
    try:
        zig = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError as exc:
        raise EnvironmentMismatch(
            "graphics: the package 'ziglang' is not installed", hint="pip install ziglang"
        ) from exc
    sources = {name: (NATIVE / name).read_text(encoding="utf-8") for name in SOURCES.values()}
    recipe = {"zig": zig, "target": target, "flags": [COMPILE_FLAGS, LINK_FLAGS], **sources}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _zig_name(machine: str) -> str:
    return ALIASES.get(machine.lower(), machine.lower())
