"""Own Qwen2: which checkpoint tensors make which parameters, and in what order they are used.

Imports no TVM: ``convert`` needs the weight map alone, and the layers speak through an Emitter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webslm.compiler.architectures.shape import check_shape
from webslm.compiler.weights import Parameter
from webslm.schema import ShapeConf

if TYPE_CHECKING:
    from webslm.compiler.kernels.emitter import Emitter, Value


def parameters(shape: ShapeConf) -> list[Parameter]:
    """Return the library's parameters in the order of its metadata.

    Raises:
        ConfigError: The shape is impossible.
    """
    check_shape(shape)
    hidden, table = shape.hidden_size, (shape.vocab_size, shape.hidden_size)
    found = [
        Parameter(
            name="model.embed_tokens.weight",
            shape=table,
            sources=("model.embed_tokens.weight",),
            quantize=True,
        )
    ]
    for layer in range(shape.num_hidden_layers):
        found += _layer_parameters(shape, f"model.layers.{layer}")
    found.append(
        Parameter(name="model.norm.weight", shape=(hidden,), sources=("model.norm.weight",))
    )
    if not shape.tie_word_embeddings:
        found.append(
            Parameter(
                name="lm_head.weight", shape=table, sources=("lm_head.weight",), quantize=True
            )
        )
    return found


def _layer_parameters(shape: ShapeConf, prefix: str) -> list[Parameter]:
    hidden, inner = shape.hidden_size, shape.intermediate_size
    queries = shape.num_attention_heads * shape.head_dim
    keys = shape.num_key_value_heads * shape.head_dim
    attention, mlp = f"{prefix}.self_attn", f"{prefix}.mlp"
    projections = tuple(f"{attention}.{part}_proj" for part in "qkv")

    def weight(name: str, rows: int, columns: int, *sources: str) -> Parameter:
        return Parameter(
            name=f"{name}.weight",
            shape=(rows, columns),
            sources=tuple(f"{source}.weight" for source in sources or (name,)),
            quantize=True,
        )

    def norm(name: str) -> Parameter:
        return Parameter(name=f"{name}.weight", shape=(hidden,), sources=(f"{name}.weight",))

    found = [weight(f"{attention}.c_attn", queries + 2 * keys, hidden, *projections)]
    if shape.attention_bias:
        found.append(
            Parameter(
                name=f"{attention}.c_attn.bias",
                shape=(queries + 2 * keys,),
                sources=tuple(f"{source}.bias" for source in projections),
            )
        )
    return [
        *found,
        weight(f"{attention}.o_proj", hidden, queries),
        weight(f"{mlp}.gate_up_proj", 2 * inner, hidden, f"{mlp}.gate_proj", f"{mlp}.up_proj"),
        weight(f"{mlp}.down_proj", hidden, inner),
        norm(f"{prefix}.input_layernorm"),
        norm(f"{prefix}.post_attention_layernorm"),
    ]


def logits(emit: Emitter, shape: ShapeConf, x: Value) -> Value:
    """Write the layers: x [1, n, H] -> float32 logits [1, 1, V] of the last position."""
    for layer in range(shape.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        attention, mlp = f"{prefix}.self_attn", f"{prefix}.mlp"
        qkv = emit.linear(x, f"{attention}.c_attn", norm=f"{prefix}.input_layernorm")
        x = emit.linear(emit.attention(layer, qkv), f"{attention}.o_proj", residual=x)
        norm = f"{prefix}.post_attention_layernorm"
        inner = emit.linear(x, f"{mlp}.gate_up_proj", norm=norm, gated=True)
        x = emit.linear(inner, f"{mlp}.down_proj", residual=x)
    head = "model.embed_tokens" if shape.tie_word_embeddings else "lm_head"
    return emit.linear(emit.last_row(x), head, norm="model.norm", dtype="float32")
