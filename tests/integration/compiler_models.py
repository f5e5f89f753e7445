"""Small random Qwen2 models: the shape, the torch model, the stored tensors."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from webslm.model.architectures import architecture
from webslm.model.weights.format import Format
from webslm.model.weights.quantization import dequantize, quantize
from webslm.schema import QuantConf, ShapeConf

Q0F32 = QuantConf(name="q0f32", bits=0, dtype="float32")
Q4F32 = QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding="f32-to-bf16")
Q0F16 = QuantConf(name="q0f16", bits=0, dtype="float16")
Q4F16 = QuantConf(name="q4f16_1", bits=4, dtype="float16")
Q3F32 = QuantConf(
    name="q3f32_1", bits=3, group_size=40, dtype="float32", scale_encoding="f32-to-bf16"
)
Q8F32 = QuantConf(name="q8f32_1", bits=8, dtype="float32", scale_encoding="f32-to-bf16")
Q3F16 = QuantConf(name="q3f16_1", bits=3, group_size=40, dtype="float16")
Q8F16 = QuantConf(name="q8f16_1", bits=8, dtype="float16")

SHAPE = ShapeConf(
    model_type="qwen2",
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=300,
    max_position_embeddings=256,
)


def shape(**changes: Any) -> ShapeConf:
    """Return the small shape with changes."""
    return dataclasses.replace(SHAPE, **changes)


def random_model(conf: ShapeConf, seed: int = 0) -> Any:
    """Return a random float32 model whose logits spread wide enough to tell tokens apart."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=conf.hidden_size,
            intermediate_size=conf.intermediate_size,
            num_hidden_layers=conf.num_hidden_layers,
            num_attention_heads=conf.num_attention_heads,
            num_key_value_heads=conf.num_key_value_heads,
            vocab_size=conf.vocab_size,
            tie_word_embeddings=conf.tie_word_embeddings,
            max_position_embeddings=conf.max_position_embeddings,
            rope_parameters={"rope_type": "default", "rope_theta": conf.rope_theta},
            rms_norm_eps=conf.rms_norm_eps,
            initializer_range=0.2,
        )
    )
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            # A model without biases is one whose biases are zero.
            torch.nn.init.normal_(parameter, std=0.2 if conf.attention_bias else 0.0)
        if name.endswith("norm.weight"):
            torch.nn.init.normal_(parameter, mean=1.0, std=0.1)
    return model.eval().float()


def store(model: Any, conf: ShapeConf, quant: QuantConf) -> dict[str, np.ndarray]:
    """Return the stored tensors by name, and give the model the weights they stand for."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    stored: dict[str, np.ndarray] = {}
    meant: dict[str, Any] = {}
    for parameter in architecture(conf.model_type).parameters(conf):
        weight = np.concatenate([state[source] for source in parameter.sources])
        names = [tensor.name for tensor in Format(quant).tensors(parameter)]
        if Format(quant).rounds(parameter):
            codes, scales = quantize(weight, quant)
            stored |= dict(zip(names, (codes, scales), strict=True))
            weight = dequantize(codes, scales, weight.shape[1], quant)
        else:
            stored[names[0]] = weight.astype(quant.dtype)
            weight = stored[names[0]].astype(np.float32)
        start = 0
        for source in parameter.sources:
            rows = state[source].shape[0]
            meant[source] = torch.from_numpy(weight[start : start + rows].copy())
            start += rows
    if conf.tie_word_embeddings:
        meant["lm_head.weight"] = meant["model.embed_tokens.weight"]
    model.load_state_dict(meant, strict=conf.attention_bias)
    return stored


def reference_logits(model: Any, ids: list[int]) -> np.ndarray:
    """Return torch's logits [n, V] at every position."""
    with torch.no_grad():
        logits: np.ndarray = model(torch.tensor([ids])).logits[0].numpy()
    return logits
