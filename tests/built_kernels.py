"""Kernels compiled for this machine's processor, each once a process."""

from __future__ import annotations

from functools import cache
from typing import Any

import tvm
import tvm_ffi

from webslm.compiler.kernels.threads import CPU

_built: dict[int, list[tuple[Any, Any]]] = {}


def built(kernel: Any) -> Any:
    """Return a kernel as a function of tensors; kernels of the same structure are one."""
    alike = _built.setdefault(tvm_ffi.structural_hash(kernel), [])
    for known, function in alike:
        if tvm_ffi.structural_equal(known, kernel):
            return function
    module = tvm.IRModule({"kernel": kernel.with_attr("global_symbol", "kernel")})
    alike.append((kernel, tvm.compile(module, target="llvm")["kernel"]))
    return alike[-1][1]


@cache
def built_for(make: Any, vocab_size: int) -> Any:
    """Return what ``make`` describes for a vocabulary; describing takes as long as compiling."""
    return built(make(vocab_size, CPU))
