"""Own which compilers there are and what a choice of one lacks, before anything is compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from webslm.basics.errors import ConfigError, Problem
from webslm.basics.paths import resolve_data
from webslm.schema import CompilerConf

TVM, PREBUILT, MLC_LLM = "tvm", "prebuilt", "mlc_llm"
NAMES = (TVM, PREBUILT, MLC_LLM)
SHA256 = re.compile(r"[0-9a-f]{64}")


def problems(conf: CompilerConf) -> Iterator[Problem]:
    """Yield what of ``compiler.*`` cannot be, each with what to type instead."""
    if conf.name not in NAMES:
        yield f"compiler.name: no compiler {conf.name!r}", f"one of {', '.join(NAMES)}"
    if conf.sha256 is not None and not SHA256.fullmatch(conf.sha256):
        yield f"compiler.sha256: {conf.sha256!r} is no sha256", "64 hexadecimal digits"
    if conf.name != PREBUILT:
        for key in ("path", "url"):
            if getattr(conf, key) is not None:
                yield f"compiler.{key}: only a prebuilt library has one", "compiler=prebuilt"
        return
    if (conf.path is None) == (conf.url is None):
        yield (
            "compiler: prebuilt needs compiler.path or compiler.url, one of them",
            "compiler.path=store:compile/KEY (python -m webslm cache list), or a file or folder",
        )
    elif conf.path is not None:
        try:
            library_in(resolve_data(conf.path))
        except ConfigError as exc:
            yield from exc.problems
    elif conf.sha256 is None:
        yield "compiler.sha256: a fetched library is pinned", "compiler.sha256=64 hex digits"


def library_in(path: Path) -> Path:
    """Return the library that a path names: a file, or the only one in a folder or its ``lib``.

    Raises:
        ConfigError: There is none, or there are several.
    """
    if path.is_file():
        return path
    found = [file for folder in (path, path / "lib") for file in sorted(folder.glob("*.wasm"))]
    if len(found) != 1:
        count = f"{len(found)} libraries" if found else "no library"
        raise ConfigError(
            f"compiler.path: {path} holds {count} (*.wasm)",
            hint="name the file: compiler.path=FOLDER/library-....wasm",
        )
    return found[0]
