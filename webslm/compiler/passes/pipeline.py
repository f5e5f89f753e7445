"""Own the order of passes from a written module to one the VM builder takes."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.s_tir import dlight

from webslm.compiler.passes.deferral import defer
from webslm.compiler.wasm.contract import ALL_LOGITS, VM_FUNCTIONS


def lower(module: Any, target: Any, *, chunk: int) -> tuple[Any, dict[str, int]]:
    """Schedule kernels and plan memory.

    Returns:
        The module, and for each function the bytes it allocates at ``chunk`` tokens;
        ``ALL_LOGITS`` is left out, since its caller decides how many positions it takes.
    """
    passes = [
        relax.transform.LegalizeOps(),
        # Before scheduling: the pass knows a reshape kernel by its plain loops.
        relax.transform.RewriteDataflowReshape(),
        # The kernels of reshapes that became views are dead now, and each would be a shader.
        relax.transform.DeadCodeElimination([*sorted(VM_FUNCTIONS), ALL_LOGITS]),
    ]
    if target.kind.name != "llvm":
        passes.append(
            dlight.ApplyDefaultSchedule(
                dlight.gpu.Matmul(),
                dlight.gpu.GEMV(),
                dlight.gpu.Reduction(),
                dlight.gpu.GeneralReduction(),
                dlight.gpu.Fallback(),
            )
        )
    passes += [
        relax.transform.ToNonDataflow(),
        relax.transform.RemovePurityChecking(),
        relax.transform.CallTIRRewrite(),
        relax.transform.StaticPlanBlockMemory(),
    ]
    module = defer(tvm.transform.Sequential(passes)(module), target, {ALL_LOGITS})
    usage = planned_bytes(module, chunk)
    return module, {name: size for name, size in usage.items() if name != ALL_LOGITS}


def finish() -> Any:
    """Return the passes that end in VM form; for ``relax.build``."""
    return tvm.transform.Sequential(
        [
            relax.transform.LowerAllocTensor(),
            relax.transform.KillAfterLastUse(),
            relax.transform.LowerRuntimeBuiltin(),
            relax.transform.ComputePrimValue(),
            relax.transform.VMShapeLower(),
            relax.transform.AttachGlobalSymbol(),
        ]
    )


def with_metadata(module: Any, text: str) -> Any:
    """Return the module with ``_metadata``, a function of no arguments that returns ``text``."""
    builder = relax.BlockBuilder(module)
    with builder.function("_metadata", []):
        builder.emit_func_output(tvm.ir.StringImm(text))
    return builder.get()


def planned_bytes(module: Any, chunk: int) -> dict[str, int]:
    """Return the storage that each exported function allocates, in bytes, at ``chunk`` tokens."""
    return {name: sum(sizes) for name, sizes in planned_storages(module, chunk).items()}


def planned_storages(module: Any, chunk: int) -> dict[str, list[int]]:
    """Return each allocation of each exported function, in bytes, at ``chunk`` tokens."""
    usage: dict[str, list[int]] = {}
    for variable, function in module.functions_items():
        if isinstance(function, relax.Function):
            found: list[int] = []

            def visit(node: Any, found: list[int] = found) -> None:
                if size := _allocated_bytes(node, chunk):
                    found.append(size)

            relax.analysis.post_order_visit(function, visit)
            usage[variable.name_hint] = found
    return dict(sorted(usage.items()))


def _allocated_bytes(node: Any, chunk: int) -> int:
    name = getattr(getattr(node, "op", None), "name", "")
    if name not in ("relax.memory.alloc_storage", "relax.builtin.alloc_tensor"):
        return 0
    size = 1
    for extent in node.args[0].values:
        # The only symbolic extent of the model functions is the number of tokens.
        size *= int(getattr(extent, "value", chunk))
    # A storage counts bytes, a tensor elements.
    return size if name == "relax.memory.alloc_storage" else size * _item_bytes(node)


def _item_bytes(node: Any) -> int:
    bits: int = tvm.runtime.DataType(str(node.ty_args[0].dtype)).bits
    return (bits + 7) // 8
