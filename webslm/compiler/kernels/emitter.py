"""Own the words an architecture is written in: each emits one kernel into a Relax function.

What is fused is decided here and nowhere else, so the dispatches of a token can be counted by
reading an architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tvm import relax

from webslm.compiler.kernels import elementwise, gemv, linear
from webslm.compiler.kernels.threads import Threads
from webslm.schema import QuantConf, ShapeConf

Value: TypeAlias = Any
"""A Relax expression (TVM has no types for checkers)."""


class Emitter:
    """Writes the body of one Relax function."""

    def __init__(
        self,
        builder: relax.BlockBuilder,
        shape: ShapeConf,
        quant: QuantConf,
        places: Mapping[str, int],
        packed: Value,
        threads: Threads,
        cache: Value = None,
    ) -> None:
        """Keep the function's builder, its packed parameters with their places, and its cache."""
        self._builder = builder
        self._shape = shape
        self._quant = quant
        self._places = places
        self._packed = packed
        self._threads = threads
        self._cache = cache
        # Layers repeat each other, and reading a kernel's script costs more than compiling it.
        self._gemv: dict[gemv.Gemv, Value] = {}

    def embedding(self, ids: Value, stem: str) -> Value:
        """Look up int32 ids [n] in a table -> [n, H]."""
        quantized = self._is_quantized(stem)
        columns = self._shape.hidden_size

        def embedding(*inputs: Any) -> Any:
            return linear.embedding(inputs, columns, self._quant, quantized=quantized)

        return self._kernel(embedding, ids, *self._weight(stem))

    def linear(
        self,
        x: Value,
        stem: str,
        *,
        norm: str | None = None,
        gated: bool = False,
        residual: Value = None,
        dtype: str | None = None,
    ) -> Value:
        """Multiply x [1, n, K] with a weight [N, K]; add its bias if there is one.

        Args:
            x: The input.
            stem: Name of the weight without its ending.
            norm: Name of an RMSNorm applied to x first.
            gated: The weight is gate and up rows; return silu(gate) * up -> [1, n, N / 2].
            residual: What is added at the end.
            dtype: Type of the result; the format's when None.
        """
        kind = dtype or self._quant.dtype
        if _is_one(x.ty.shape[1]):
            return self._one_row(x, stem, norm, residual, gated=gated, dtype=kind)
        if norm is not None:
            x = self._rms_norm(x, norm)
        y = self._rows(x, stem, residual, kind)
        return self._kernel(elementwise.swiglu, y) if gated else y

    def _one_row(
        self, x: Value, stem: str, norm: str | None, residual: Value, *, gated: bool, dtype: str
    ) -> Value:
        bias = self._bias(stem)
        weight = self._weight(stem)
        rows = _extent(weight[0].ty.shape[0]) // (2 if gated else 1)
        plan = gemv.Gemv(
            rows=rows,
            columns=_extent(x.ty.shape[2]),
            quantized=self._is_quantized(stem),
            epsilon=None if norm is None else self._shape.rms_norm_eps,
            gated=gated,
            bias=bias is not None,
            residual=residual is not None,
            dtype=dtype,
        )
        gain = None if norm is None else self._tensor(f"{norm}.weight")
        optional = [gain, weight[0], weight[1] if len(weight) > 1 else None, bias, residual]
        if plan not in self._gemv:
            made = gemv.gemv(plan, self._quant, self._threads)
            self._gemv[plan] = self._builder.add_func(made, "gemv")
        # A place that the plan does not use is filled with x.
        args = [x, *(x if arg is None else arg for arg in optional)]
        return self._builder.emit(
            relax.call_tir(self._gemv[plan], args, relax.TensorType((1, 1, rows), dtype))
        )

    def _rows(self, x: Value, stem: str, residual: Value, dtype: str) -> Value:
        bias = self._bias(stem)
        epilogue = linear.Epilogue(
            bias=bias is not None, residual=residual is not None, dtype=dtype
        )
        quantized = self._is_quantized(stem)
        extras = [extra for extra in (bias, residual) if extra is not None]

        def product(*inputs: Any) -> Any:
            return linear.linear(inputs, self._quant, quantized=quantized, epilogue=epilogue)

        return self._kernel(product, x, *self._weight(stem), *extras, name="linear")

    def _rms_norm(self, x: Value, stem: str) -> Value:
        epsilon = self._shape.rms_norm_eps

        def rms_norm(x: Any, weight: Any) -> Any:
            return elementwise.rms_norm(x, weight, epsilon)

        return self._kernel(rms_norm, x, self._tensor(f"{stem}.weight"))

    def last_row(self, x: Value) -> Value:
        """Return the last position of x [1, n, H] -> [1, 1, H]."""
        return x if _is_one(x.ty.shape[1]) else self._kernel(elementwise.last_row, x)

    def attention(self, layer: int, qkv: Value) -> Value:
        """Rotate, append to the cache and attend: qkv [1, n, (hq + 2 hkv) d] -> [1, n, hq d]."""
        shape, n = self._shape, qkv.ty.shape[1]
        heads, dim = shape.num_attention_heads, shape.head_dim
        rows = self._reshape(qkv, (n, heads + 2 * shape.num_key_value_heads, dim))
        mixed = self._builder.emit(
            relax.call_dps_packed(
                "vm.builtin.attention_kv_cache_attention_with_fused_qkv",
                [
                    self._cache,
                    relax.prim_value(layer),
                    relax.prim_value(float(dim) ** -0.5),
                    rows,
                ],
                out_ty=relax.TensorType((n, heads, dim), self._quant.dtype),
            )
        )
        return self._reshape(mixed, (1, n, heads * dim))

    def _reshape(self, x: Value, dims: tuple[Any, ...]) -> Value:
        return self._builder.emit(relax.op.reshape(x, relax.ShapeExpr(list(dims))))

    def _kernel(self, function: Any, *args: Value, name: str | None = None) -> Value:
        return self._builder.emit_te(function, *args, primfunc_name_hint=name or function.__name__)

    def _tensor(self, name: str) -> Value:
        return self._builder.emit(relax.TupleGetItem(self._packed, self._places[name]))

    def _bias(self, stem: str) -> Value:
        name = f"{stem}.bias"
        return self._tensor(name) if name in self._places else None

    def _is_quantized(self, stem: str) -> bool:
        return f"{stem}.q_weight" in self._places

    def _weight(self, stem: str) -> list[Value]:
        if self._is_quantized(stem):
            return [self._tensor(f"{stem}.q_weight"), self._tensor(f"{stem}.q_scale")]
        return [self._tensor(f"{stem}.weight")]


def _is_one(extent: Any) -> bool:
    value = getattr(extent, "value", extent)
    return isinstance(value, int) and value == 1


def _extent(extent: Any) -> int:
    return int(getattr(extent, "value", extent))
