"""Own which kernels the page compiles while it loads, and which wait for their first use.

Before a page is ready, web-llm compiles every shader of the first WebGPU module it finds in a
library. Kernels that no page runs go into a second one: the runtime compiles those when they are
called, so they cost a page nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import tvm
from tvm import relax, tirx

TAG = "deferred"
"""Sets the second module's target apart; TVM makes a module of each target."""
NEVER_RUN = frozenset({"kv_copy_page", "kv_debug", "kv_compact"})
"""The cache's constructor takes them; web-llm shares no page, reads none back and drops no branch.
"""


def defer(module: Any, target: Any, functions: Collection[str]) -> Any:
    """Return the module with the kernels marked that wait for their first use.

    Args:
        module: Scheduled, with kernels called by name.
        target: What the module is built for; on a CPU nothing is compiled late.
        functions: Relax functions that the page never calls; what they alone call waits.
    """
    if target.kind.name == "llvm":
        return module
    early: set[str] = set()
    late = set(NEVER_RUN)
    for variable, function in module.functions_items():
        if isinstance(function, relax.Function):
            (late if variable.name_hint in functions else early).update(_called(function))
    late -= early - NEVER_RUN
    kernels = [pair for pair in module.functions_items() if isinstance(pair[1], tirx.PrimFunc)]
    later = tvm.target.Target({**target.export(), "tag": TAG})
    for variable, function in kernels:
        place = later if variable.name_hint in late else target
        module.update_func(variable, function.with_attr("target", place))
    return module


def load_first_what_runs(executable: Any) -> None:
    """Order the shader modules so that a page finds the one whose shaders it runs.

    TVM imports modules by a hash of their targets, and a stored library lists them from the end.

    Args:
        executable: Built from a module that ``defer`` marked; changed in place.
    """
    for host in executable.mod.imports:
        parts = sorted(host.imports, key=_waits, reverse=True)
        host.clear_imports()
        for part in parts:
            host.import_module(part)


def _waits(part: Any) -> bool:
    return any(f"fn {name}_kernel(" in part.inspect_source() for name in NEVER_RUN)


def _called(function: Any) -> set[str]:
    found: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, tvm.ir.GlobalVar):
            found.add(node.name_hint)

    relax.analysis.post_order_visit(function, visit)
    return found
