"""Own how zig is called and which of its libraries are kept; its caches lie where told."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from webslm.basics import proc
from webslm.basics.errors import EnvironmentMismatch, StageFailed


def run_zig(arguments: Sequence[str | Path], *, cwd: Path, cache: Path) -> str:
    """Run ``zig`` in ``cwd`` and return what it said.

    Args:
        arguments: Subcommand and its arguments.
        cwd: Working directory; relative paths keep it out of the objects.
        cache: Folder for zig's own caches. The shared default under the home folder would make a
            build depend on what other programs left there, and may be read-only.

    Raises:
        EnvironmentMismatch: The ziglang wheel is not installed.
        ToolFailed: zig failed.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise EnvironmentMismatch(
            "wasm toolchain: the package 'ziglang' is not installed",
            hint="pip install ziglang",
        )
    env = dict(os.environ)
    env["ZIG_GLOBAL_CACHE_DIR"] = env["ZIG_LOCAL_CACHE_DIR"] = str(cache.resolve())
    return proc.run([sys.executable, "-m", "ziglang", *arguments], cwd=cwd, env=env)


def collect_libraries(names: Sequence[str], work: Path, cache: Path, out_dir: Path) -> None:
    """Put the libraries that zig links into every WASI reactor into ``out_dir``.

    zig builds them on demand, so a tiny program is linked and they are taken from the cache. With
    them kept, linking a model is one wasm-ld call that needs no cache and no compilation.

    Args:
        names: The libraries' file names.
        work: Folder for the tiny program.
        cache: zig's cache; it must be fresh.
        out_dir: Where the libraries go.

    Raises:
        StageFailed: This zig builds other libraries than the names say.
    """
    (work / "probe.cc").write_text('extern "C" int webslm_probe() { return 0; }\n')
    # Stripped, for debug information would name the temporary folder. One thread (-j1), for zig
    # numbers symbols of its own libraries by the thread that happens to meet them.
    argv = ("build-exe", "probe.cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-lc++")
    options = ("-lc", "-O", "ReleaseFast", "-fstrip", "-j1", "-femit-bin=probe.wasm")
    run_zig([*argv, *options], cwd=work, cache=cache)
    for name in names:
        found = {path.read_bytes() for path in cache.glob(f"o/*/{name}")}
        if len(found) != 1:
            raise StageFailed(
                f"wasm toolchain: zig built {len(found)} different files named '{name}', not one",
                hint="use the ziglang version of the pinned matrix row",
            )
        (out_dir / name).write_bytes(_without_cache_names(found.pop()))


def _without_cache_names(library: bytes) -> bytes:
    """Blank the cache folders in an archive's member names: they depend on where zig lies.

    Only the name table (the member called ``//``) is touched, and it keeps its length.
    """
    magic, header = b"!<arch>\n", 60
    at = len(magic)
    while library.startswith(magic) and at < len(library):
        size = int(library[at + 48 : at + 58])
        if library[at : at + 3] == b"// ":
            start, end = at + header, at + header + size
            names = re.sub(rb"\b[0-9a-f]{32}/", b"0" * 32 + b"/", library[start:end])
            return library[:start] + names + library[end:]
        # Members start at even offsets.
        at += header + size + size % 2
    return library
