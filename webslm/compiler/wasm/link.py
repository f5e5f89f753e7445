"""Own the link: objects of a model and a runtime folder become one WebAssembly reactor."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from webslm.basics import fs
from webslm.basics.errors import StageFailed, ToolFailed
from webslm.compiler.wasm import runtime
from webslm.compiler.wasm.contract import WEB_LLM, Contract
from webslm.compiler.wasm.zig import run_zig

STACK_BYTES = 1 << 20

LINK_FLAGS = (
    "--strip-all",
    "--build-id=none",
    "--error-limit=0",
    "--export-memory",
    *("--entry", "_initialize"),
    # The stack lies below the data: an overflow traps instead of eating data, and web-llm's own
    # writes at addresses 16 to 23 meet nothing but the far end of an idle stack.
    "--stack-first",
    *("-z", f"stack-size={STACK_BYTES}"),
)

PAGE_CALLBACKS = ("TVMFFIWasmSafeCall", "TVMFFIWasmFunctionDeleter")
"""The only symbols that may stay undefined: web-llm defines them in JavaScript."""


def link_library(
    objects: Sequence[Path], runtime_dir: Path, out: Path, contract: Contract = WEB_LLM
) -> None:
    """Link a model's objects with a runtime into ``out``.

    The bytes depend on the inputs' bytes and order alone, not on any path. Only what web-llm calls
    is exported, so that unused parts of the runtime fall away.

    Args:
        objects: WebAssembly objects of the model.
        runtime_dir: Folder from ``build_runtime``.
        out: File to write; it is replaced whole or left as it was.
        contract: The web-llm release whose calls are exported.

    Raises:
        StageFailed: Symbols are undefined; each is named.
        ToolFailed: The linker failed otherwise.
    """
    exports = sorted((contract.exports | contract.optional_exports) - {"memory"})
    start, *libraries = (runtime_dir / name for name in runtime.LIBRARIES)
    inputs = [start, *runtime.object_files(runtime_dir), *objects, *libraries]
    with fs.temporary_dir(out.parent, "link") as work:
        allowed = work / "undefined.txt"
        allowed.write_text("\n".join(PAGE_CALLBACKS) + "\n", encoding="utf-8")
        argv: list[str | Path] = ["wasm-ld", *LINK_FLAGS, f"--allow-undefined-file={allowed.name}"]
        argv += [f"--export={name}" for name in exports]
        argv += ["-o", "library.wasm", *(path.resolve() for path in inputs)]
        try:
            run_zig(argv, cwd=work, cache=work / "zig")
        except ToolFailed as exc:
            raise _explain(exc, out) from exc
        linked = work / "library.wasm"
        # The linker marks its output as a program.
        linked.chmod(0o644)
        os.replace(linked, out)


def _explain(failure: ToolFailed, out: Path) -> StageFailed:
    undefined = sorted(set(re.findall(r"undefined symbol: (\S+)", failure.tail)))
    if not undefined:
        return failure
    return StageFailed(
        f"link {out.name}: undefined symbols: {', '.join(repr(name) for name in undefined)}",
        hint="the compiler emitted a call that neither TVM's browser runtime nor web-llm provides",
    )
