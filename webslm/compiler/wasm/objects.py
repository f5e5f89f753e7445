"""Own the way from a compiled TVM executable to a library: its objects, its needs, the whole path.

The only module of this package that touches TVM's Python side.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from webslm.basics import fs
from webslm.basics.errors import StageFailed
from webslm.compiler.wasm import runtime
from webslm.compiler.wasm.abi import LibraryAbi, check_abi
from webslm.compiler.wasm.binary import read_sections
from webslm.compiler.wasm.contract import (
    ALL_LOGITS,
    ALL_LOGITS_BUILTINS,
    VM_FUNCTIONS,
    WEB_LLM,
    Contract,
)
from webslm.compiler.wasm.link import link_library

if TYPE_CHECKING:
    from tvm.relax import VMExecutable
    from tvm.runtime import Module


def write_library(
    executable: VMExecutable, runtime_dir: Path, out: Path, contract: Contract = WEB_LLM
) -> LibraryAbi:
    """Write an executable as a checked model library.

    Args:
        executable: From ``relax.build`` with target ``webgpu`` and an LLVM host whose triple is
            ``wasm32-unknown-unknown-wasm``.
        runtime_dir: Folder from ``build_runtime``.
        out: File to write; it appears only when every check passed.
        contract: The web-llm release that will load it.

    Raises:
        StageFailed: The bytecode calls functions nobody provides, a symbol is undefined, or the
            linked file breaks the contract; everything wrong is named.
    """
    builtins = [
        *check_packed_functions(executable, runtime_dir, contract),
        *ALL_LOGITS_BUILTINS,
    ]
    with fs.temporary_dir(out.parent, "objects") as work:
        objects = export_objects(executable, work)
        linked = work / out.name
        link_library(objects, runtime_dir, linked, contract)
        abi = check_abi(linked, required_global_functions=builtins, contract=contract)
        linked.replace(out)
    return abi


def export_objects(executable: VMExecutable, out_dir: Path) -> list[Path]:
    """Write an executable's WebAssembly objects into ``out_dir``, in link order.

    Raises:
        StageFailed: The executable was not compiled for a WebAssembly host.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def keep(_output: str, files: Iterable[str], **_options: object) -> None:
        for number, name in enumerate(files):
            written.append(out_dir / f"model{number}.o")
            shutil.copyfile(name, written[-1])

    # By default TVM hands over LLVM bitcode, which only its own LLVM version can read.
    keep.object_format = "o"  # type: ignore[attr-defined]
    executable.export_library("library.o", fcompile=keep)
    for path in written:
        if not path.read_bytes().startswith(b"\0asm"):
            raise StageFailed(
                "compile: the executable's host code is not WebAssembly",
                hint="use an LLVM host target with the triple wasm32-unknown-unknown-wasm",
            )
    return written


def check_packed_functions(
    executable: VMExecutable, runtime_dir: Path, contract: Contract = WEB_LLM
) -> list[str]:
    """Return the runtime builtins that an executable's bytecode calls.

    The VM resolves every name when the page loads the library, and one unknown name aborts it.
    A name counts as provided when the executable's own host code implements it, when web-llm
    registers it, or when a runtime object holds it as a C string (see ``abi`` on what that shows).

    Raises:
        StageFailed: Names that nobody provides.
    """
    named = re.findall(r"^@(\S+) packed_func;$", executable.as_text(), flags=re.MULTILINE)
    host = [part for part in _module_tree(executable.mod) if part.kind == "llvm"]
    needed = sorted(
        name
        for name in set(named) - contract.page_functions
        if not any(part.implements_function(name) for part in host)
    )
    literals = runtime_literals(runtime_dir)
    unknown = [name for name in needed if name.encode() not in literals]
    if unknown:
        raise StageFailed(
            "compile: functions that TVM's browser runtime does not have: "
            + ", ".join(repr(name) for name in unknown),
            hint="the compiler pipeline left calls for another device or a missing pass",
        )
    return needed


def check_vm_functions(executable: VMExecutable) -> None:
    """Refuse an executable without a function that web-llm or the proof calls.

    Raises:
        StageFailed: Names those that are missing.
    """
    found = set(re.findall(r"^@(\S+):", executable.as_text(), flags=re.MULTILINE))
    # Some are kernels, exported bare.
    host = [part for part in _module_tree(executable.mod) if part.kind == "llvm"]
    missing = sorted(
        name
        for name in (VM_FUNCTIONS | {ALL_LOGITS, "_metadata"}) - found
        if not any(part.implements_function(name) for part in host)
    )
    if missing:
        raise StageFailed(
            f"compile: the library lacks the functions {', '.join(missing)}",
            hint="a pass of the compiler pipeline dropped what nothing else calls",
        )


def _module_tree(module: Module) -> Iterator[Module]:
    yield module
    for part in module.imports:
        yield from _module_tree(part)


def runtime_literals(runtime_dir: Path) -> frozenset[bytes]:
    """Return the C strings of the runtime's objects: each is a data segment of its own there."""
    return frozenset(
        segment.data[:-1]
        for path in runtime.object_files(runtime_dir)
        for segment in read_sections(path).segments
        if segment.data.endswith(b"\0")
    )
