"""Own the decoder that all supported families share: its weight map and its layers.

A family differs by a ``Style``. Imports no TVM: ``convert`` needs the weight map alone, and the
layers speak through an Emitter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from webslm.model.architectures.emission import Emitter, Value
from webslm.model.architectures.hf_config import LayerTypes, to_config, to_shape, uniform
from webslm.model.architectures.shape import check_shape
from webslm.model.architectures.weight_maps import Parameter
from webslm.schema import ShapeConf

EMBEDDING, HEAD, FINAL_NORM = "model.embed_tokens", "lm_head", "model.norm"


@dataclass(frozen=True, kw_only=True)
class Style:
    """What a family does differently."""

    qkv: str = "qkv_proj"
    """Library name of the joined query, key and value projection (as MLC names it)."""
    fused: bool = False
    """The checkpoint holds ``qkv_proj`` and ``gate_up_proj`` joined already."""
    output_bias: bool = False
    """Where attention has biases, its output projection has one too."""
    head_norms: bool = False
    """Each query and key head is normalised before its rotation."""
    norm_offset: float = 0.0
    """What is added to the gains of norms: Gemma stores them less one."""
    post_norms: bool = False
    """Attention and gated layer are normalised again before they are added to the stream."""
    scaled_embedding: bool = False
    """Embeddings are multiplied with the square root of the hidden size."""


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """One architecture."""

    model_type: str
    """As in a config.json."""
    causal_lm: str
    """The class that transformers writes to ``architectures``."""
    style: Style
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What a config.json that leaves a key out means."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """What holds whatever a config.json says."""
    layer_types: LayerTypes = uniform
    """Names each layer's attention where a config.json does not."""
    activation_key: str = "hidden_act"
    """The key of the activation in a config.json."""

    def shape(self, config: Mapping[str, Any]) -> ShapeConf:
        """Return the shape that a config.json of either transformers spelling describes.

        Raises:
            ConfigError: A size is missing.
        """
        return to_shape(self, config)

    def config(self, shape: ShapeConf) -> dict[str, Any]:
        """Return a config.json's content, transformers 4 spelling; both versions read it."""
        return to_config(self, shape)

    def parameters(self, shape: ShapeConf) -> list[Parameter]:
        """Return the library's parameters in the order of its metadata.

        Raises:
            ConfigError: The shape is impossible.
        """
        check_shape(shape)
        table = (shape.vocab_size, shape.hidden_size)
        found = [_weight(EMBEDDING, table)]
        for layer in range(shape.num_hidden_layers):
            found += self._layer_parameters(shape, f"model.layers.{layer}")
        found.append(_norm(FINAL_NORM, shape.hidden_size))
        if not shape.tie_word_embeddings:
            found.append(_weight(HEAD, table))
        return found

    def _layer_parameters(self, shape: ShapeConf, prefix: str) -> Iterator[Parameter]:
        style, hidden, inner = self.style, shape.hidden_size, shape.intermediate_size
        queries = shape.num_attention_heads * shape.head_dim
        rows = queries + 2 * shape.num_key_value_heads * shape.head_dim
        attention, mlp = f"{prefix}.self_attn", f"{prefix}.mlp"
        parts = tuple(f"{attention}.{part}_proj" for part in "qkv")
        halves: tuple[str, ...] = (f"{mlp}.gate_proj", f"{mlp}.up_proj")
        if style.fused:
            parts, halves = (f"{attention}.qkv_proj",), (f"{mlp}.gate_up_proj",)
        yield _weight(f"{attention}.{style.qkv}", (rows, hidden), *parts)
        if shape.attention_bias:
            yield _bias(f"{attention}.{style.qkv}", rows, *parts)
        if style.head_norms:
            yield _norm(f"{attention}.q_norm", shape.head_dim)
            yield _norm(f"{attention}.k_norm", shape.head_dim)
        yield _weight(f"{attention}.o_proj", (hidden, queries))
        if shape.attention_bias and style.output_bias:
            yield _bias(f"{attention}.o_proj", hidden)
        yield _weight(f"{mlp}.gate_up_proj", (2 * inner, hidden), *halves)
        yield _weight(f"{mlp}.down_proj", (hidden, inner))
        yield _norm(f"{prefix}.input_layernorm", hidden)
        yield _norm(f"{prefix}.post_attention_layernorm", hidden)
        if style.post_norms:
            yield _norm(f"{prefix}.pre_feedforward_layernorm", hidden)
            yield _norm(f"{prefix}.post_feedforward_layernorm", hidden)

    def embed(self, emit: Emitter, shape: ShapeConf, ids: Value) -> Value:
        """Write the embedding: int32 ids [n] -> [n, H]."""
        scale = math.sqrt(shape.hidden_size) if self.style.scaled_embedding else 1.0
        return emit.embedding(ids, EMBEDDING, scale=scale)

    def logits(self, emit: Emitter, shape: ShapeConf, x: Value, *, every: bool = False) -> Value:
        """Write the layers: x [1, n, H] -> float32 logits of the last position, [1, 1, V].

        With ``every``, of all positions: [1, n, V].
        """
        for layer in range(shape.num_hidden_layers):
            x = self._layer(emit, layer, x)
        head = EMBEDDING if shape.tie_word_embeddings else HEAD
        return emit.linear(
            x if every else emit.last_row(x),
            head,
            norm=FINAL_NORM,
            cap=shape.final_logit_softcapping,
            dtype="float32",
        )

    def _layer(self, emit: Emitter, layer: int, x: Value) -> Value:
        style, prefix = self.style, f"model.layers.{layer}"
        attention, mlp = f"{prefix}.self_attn", f"{prefix}.mlp"
        after = f"{prefix}.post_attention_layernorm"
        norms = (f"{attention}.q_norm", f"{attention}.k_norm") if style.head_norms else None
        qkv = emit.linear(x, f"{attention}.{style.qkv}", norm=f"{prefix}.input_layernorm")
        mixed = emit.attention(layer, qkv, norms=norms)
        if not style.post_norms:
            x = emit.linear(mixed, f"{attention}.o_proj", residual=x)
            inner = emit.linear(x, f"{mlp}.gate_up_proj", norm=after, gated=True)
            return emit.linear(inner, f"{mlp}.down_proj", residual=x)
        x = emit.norm(emit.linear(mixed, f"{attention}.o_proj"), after, residual=x)
        before = f"{prefix}.pre_feedforward_layernorm"
        inner = emit.linear(x, f"{mlp}.gate_up_proj", norm=before, gated=True)
        outer = emit.linear(inner, f"{mlp}.down_proj")
        return emit.norm(outer, f"{prefix}.post_feedforward_layernorm", residual=x)


def _weight(name: str, shape: tuple[int, int], *sources: str) -> Parameter:
    return Parameter(
        name=f"{name}.weight",
        shape=shape,
        sources=tuple(f"{source}.weight" for source in sources or (name,)),
        quantize=True,
    )


def _bias(name: str, rows: int, *sources: str) -> Parameter:
    return Parameter(
        name=f"{name}.bias",
        shape=(rows,),
        sources=tuple(f"{source}.bias" for source in sources or (name,)),
    )


def _norm(name: str, size: int) -> Parameter:
    return Parameter(name=f"{name}.weight", shape=(size,), sources=(f"{name}.weight",))
