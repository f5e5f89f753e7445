"""Own the words an architecture is written in: each emits one kernel into a Relax function.

What is fused is decided here and nowhere else, so the dispatches of a token can be counted by
reading an architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import relax

from webslm.compiler.kernels import elementwise, embedding, gemv, matmul
from webslm.compiler.kernels.rope import Heads, normed_rotated
from webslm.compiler.kernels.threads import Threads
from webslm.model.architectures.emission import Value
from webslm.model.architectures.rope import RopeTable, rope_table
from webslm.model.architectures.shape import local_layers
from webslm.schema import QuantConf, ShapeConf


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
        *,
        activations: str,
        norm_offset: float = 0.0,
    ) -> None:
        """Keep the function's builder, its packed parameters with their places, and its cache.

        ``activations`` is the type of everything that passes between kernels; parameters keep
        the format's. ``norm_offset`` is added to the gains of every norm.
        """
        self._builder = builder
        self._shape = shape
        self._quant = quant
        self._places = places
        self._packed = packed
        self._threads = threads
        self._cache = cache
        # Layers repeat each other, and reading a kernel's script costs more than compiling it.
        self._gemv: dict[gemv.Gemv, Value] = {}
        self._matmul: dict[matmul.Matmul, Value] = {}
        self._activations = activations
        self._norm_offset = norm_offset
        self._local = local_layers(shape)
        self._positions: Value = None
        self._rotations: dict[bool, tuple[Value, Value]] = {}

    def embedding(self, ids: Value, stem: str, *, scale: float = 1.0) -> Value:
        """Look up int32 ids [n] in a table -> scale * [n, H]."""
        quantized = self._is_quantized(stem)
        columns, quant, dtype = self._shape.hidden_size, self._quant, self._activations

        def lookup(*inputs: Any) -> Any:
            return embedding.lookup(
                inputs, columns, quant, quantized=quantized, scale=scale, dtype=dtype
            )

        return self._kernel(lookup, ids, *self._weight(stem), name="embedding")

    def linear(
        self,
        x: Value,
        stem: str,
        *,
        norm: str | None = None,
        gated: bool = False,
        residual: Value = None,
        cap: float | None = None,
        dtype: str | None = None,
    ) -> Value:
        """Multiply x [1, n, K] with a weight [N, K]; add its bias if there is one.

        Args:
            x: The input.
            stem: Name of the weight without its ending.
            norm: Name of an RMSNorm applied to x first.
            gated: The weight is gate and up rows; return act(gate) * up -> [1, n, N / 2].
            residual: What is added at the end.
            cap: Soft cap of the result.
            dtype: Type of the result; that of activations when None.
        """
        kind = dtype or self._activations
        if _is_one(x.ty.shape[1]):
            return self._one_row(x, stem, norm, residual, gated=gated, cap=cap, dtype=kind)
        if norm is not None:
            x = self.norm(x, norm)
        y = self._rows(x, stem, residual, cap=cap, dtype=kind)
        return self._gated(y) if gated else y

    def _one_row(
        self,
        x: Value,
        stem: str,
        norm: str | None,
        residual: Value,
        *,
        gated: bool,
        cap: float | None,
        dtype: str,
    ) -> Value:
        bias = self._bias(stem)
        weight = self._weight(stem)
        rows = _extent(weight[0].ty.shape[0]) // (2 if gated else 1)
        plan = gemv.Gemv(
            rows=rows,
            columns=_extent(x.ty.shape[2]),
            quantized=self._is_quantized(stem),
            epsilon=None if norm is None else self._shape.rms_norm_eps,
            offset=self._norm_offset,
            gated=gated,
            activation=self._shape.hidden_act,
            bias=bias is not None,
            residual=residual is not None,
            cap=cap,
            dtype=dtype,
            inputs=self._activations,
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

    def _rows(
        self, x: Value, stem: str, residual: Value, *, cap: float | None, dtype: str
    ) -> Value:
        bias, weight = self._bias(stem), self._weight(stem)
        plan = matmul.Matmul(
            rows=_extent(weight[0].ty.shape[0]),
            columns=_extent(x.ty.shape[2]),
            quantized=self._is_quantized(stem),
            bias=bias is not None,
            residual=residual is not None,
            cap=cap,
            dtype=dtype,
            inputs=self._activations,
        )
        if plan not in self._matmul:
            made = matmul.matmul(plan, self._quant, self._threads)
            self._matmul[plan] = self._builder.add_func(made, "matmul")
        optional = [weight[0], weight[1] if len(weight) > 1 else None, bias, residual]
        args = [x, *(x if arg is None else arg for arg in optional)]
        kind = relax.TensorType((1, x.ty.shape[1], plan.rows), dtype)
        return self._builder.emit(relax.call_tir(self._matmul[plan], args, kind))

    def norm(self, x: Value, stem: str, *, residual: Value = None) -> Value:
        """Apply an RMSNorm to x [1, n, H], and add a residual to the result."""
        epsilon, offset = self._shape.rms_norm_eps, self._norm_offset
        extras = [] if residual is None else [residual]

        def rms_norm(*inputs: Any) -> Any:
            return elementwise.rms_norm(inputs, epsilon, offset)

        return self._kernel(rms_norm, x, self._tensor(f"{stem}.weight"), *extras)

    def _gated(self, x: Value) -> Value:
        activation = self._shape.hidden_act

        def gated(rows: Any) -> Any:
            return elementwise.gated(rows, activation)

        return self._kernel(gated, x)

    def last_row(self, x: Value) -> Value:
        """Return the last position of x [1, n, H] -> [1, 1, H]."""
        return x if _is_one(x.ty.shape[1]) else self._kernel(elementwise.last_row, x)

    def attention(self, layer: int, qkv: Value, *, norms: tuple[str, str] | None = None) -> Value:
        """Rotate, append to the cache and attend: qkv [1, n, (hq + 2 hkv) d] -> [1, n, hq d].

        ``norms`` names the norms of query and key heads; then the cache does not rotate.
        """
        shape, n, local = self._shape, qkv.ty.shape[1], self._local[layer]
        heads, dim = shape.num_attention_heads, shape.head_dim
        rows = self._reshape(qkv, (n, heads + 2 * shape.num_key_value_heads, dim))
        if norms is not None:
            rows = self._head_norms(rows, norms, local=local)
        scale = float(shape.query_pre_attn_scalar or dim) ** -0.5
        mixed = self._builder.emit(
            relax.call_dps_packed(
                "vm.builtin.attention_kv_cache_attention_with_fused_qkv",
                [
                    self._cache,
                    relax.prim_value(layer),
                    # The kernels take a negative scale for a layer that sees a window only.
                    relax.prim_value(-scale if local else scale),
                    rows,
                ],
                out_ty=relax.TensorType((n, heads, dim), self._activations),
            )
        )
        return self._reshape(mixed, (1, n, heads * dim))

    def _head_norms(self, rows: Value, norms: tuple[str, str], *, local: bool) -> Value:
        if local not in self._rotations:
            self._rotations[local] = self._rotation(rope_table(self._shape, local=local))
        kernel, frequencies = self._rotations[local]
        if self._positions is None:
            self._positions = self._builder.emit(
                relax.call_pure_packed(
                    "vm.builtin.attention_kv_cache_get_query_positions",
                    self._cache,
                    ty_args=relax.TensorType((rows.ty.shape[0],), "int32"),
                )
            )
        gains = [self._tensor(f"{norm}.weight") for norm in norms]
        args = [rows, *gains, self._positions, frequencies]
        return self._builder.emit(relax.call_tir(kernel, args, rows.ty))

    def _rotation(self, table: RopeTable) -> tuple[Value, Value]:
        shape = self._shape
        heads = Heads(
            heads=shape.num_attention_heads,
            kv_heads=shape.num_key_value_heads,
            dim=shape.head_dim,
            dtype=self._activations,
        )
        kernel = normed_rotated(
            heads,
            table,
            epsilon=shape.rms_norm_eps,
            offset=self._norm_offset,
            threads=self._threads,
            gains=self._quant.dtype,
        )
        return self._builder.add_func(kernel, "head_norm_rope"), relax.const(table.frequencies)

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
