"""Own the fast oracle: the library's module built for this machine and run without a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relax

from webslm.compiler.library import Compiled, compile_library, native_target
from webslm.compiler.metadata import PAGE_TOKENS
from webslm.compiler.wasm.contract import ALL_LOGITS
from webslm.schema import QuantConf, ShapeConf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Float32 = npt.NDArray[np.float32]


def compile_native(
    shape: ShapeConf,
    quant: QuantConf,
    *,
    context_window_size: int,
    prefill_chunk_size: int,
    activations: str | None = None,
) -> Compiled:
    """Compile the library's functions for this machine's CPU."""
    return compile_library(
        shape,
        quant,
        context_window_size=context_window_size,
        prefill_chunk_size=prefill_chunk_size,
        target=native_target(),
        activations=activations,
    )


class NativeModel:
    """One sequence on the CPU, driven as web-llm drives it."""

    def __init__(self, compiled: Compiled, params: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load the executable and the stored tensors by name (``quantization.stored_tensors``)."""
        self._vm = relax.VirtualMachine(compiled.executable, tvm.cpu())
        self._params = [tvm.runtime.tensor(params[tensor.name]) for tensor in compiled.stored]
        self._chunk = int(compiled.metadata["prefill_chunk_size"])
        sizes = (1, int(compiled.metadata["context_window_size"]), self._chunk, PAGE_TOKENS, 0)
        self._cache = self._vm["create_tir_paged_kv_cache"](
            *(tvm.runtime.ShapeTuple([size]) for size in sizes)
        )
        self._begin = tvm.get_global_func("vm.builtin.kv_state_begin_forward")
        self._end = tvm.get_global_func("vm.builtin.kv_state_end_forward")
        self.reset()

    def reset(self) -> None:
        """Forget the sequence."""
        tvm.get_global_func("vm.builtin.kv_state_clear")(self._cache)
        tvm.get_global_func("vm.builtin.kv_state_add_sequence")(self._cache, 0)

    def function(self, name: str) -> Any:
        """Return an exported function by name."""
        return self._vm[name]

    def prefill(self, ids: Sequence[int]) -> Float32:
        """Append a prompt, in chunks as web-llm cuts it; return the last logits [V]."""
        if not ids:
            raise ValueError("no tokens to prefill")
        for start in range(0, len(ids), self._chunk):
            logits = self._forward(ids[start : start + self._chunk])
        return logits

    def decode(self, token: int) -> Float32:
        """Append one token; return the logits [V] after it."""
        return self._forward([token])

    def all_logits(self, ids: Sequence[int]) -> Float32:
        """Append tokens, in chunks; return the logits after each of them, [n, V]."""
        import numpy as np

        starts = range(0, len(ids), self._chunk)
        rows: Float32 = np.concatenate(
            [self._run(ALL_LOGITS, ids[start : start + self._chunk]) for start in starts]
        )
        return rows

    def forget(self, count: int) -> None:
        """Take the last ``count`` tokens off the sequence."""
        tvm.get_global_func("vm.builtin.kv_state_popn")(self._cache, 0, count)

    def _forward(self, ids: Sequence[int]) -> Float32:
        last: Float32 = self._run("decode" if len(ids) == 1 else "prefill", ids)[0]
        return last

    def _run(self, name: str, ids: Sequence[int]) -> Float32:
        """Call a model function; return its logits [1, V] or [n, V]."""
        import numpy as np

        given = tvm.runtime.tensor(np.asarray(ids, dtype="int32"))
        rows = self._vm["embed"](given, self._params)
        # web-llm views the rows as [1, n, H]; copying is as good here.
        rows = tvm.runtime.tensor(rows.numpy()[None])
        self._begin(self._cache, tvm.runtime.ShapeTuple([0]), tvm.runtime.ShapeTuple([len(ids)]))
        logits = self._vm[name](rows, self._cache, self._params)[0]
        self._end(self._cache)
        result: Float32 = logits.numpy()[0]
        return result
