"""Qwen2's weight map, held against the state dict of transformers, and the shapes refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
from transformers import Qwen2Config, Qwen2ForCausalLM

from webslm.compiler.architectures import architecture
from webslm.compiler.architectures.qwen2 import parameters
from webslm.errors import ConfigError
from webslm.schema import ShapeConf

SHAPE = ShapeConf(
    model_type="qwen2",
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=300,
    max_position_embeddings=128,
)


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_take_every_tensor_of_the_checkpoint_once(tied: bool) -> None:
    shape = dataclasses.replace(SHAPE, tie_word_embeddings=tied)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=300,
            tie_word_embeddings=tied,
        )
    )
    state = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if tied:
        del state["lm_head.weight"]
    found = parameters(shape)
    assert sorted(source for one in found for source in one.sources) == sorted(state)
    for one in found:
        rows = sum(state[source][0] for source in one.sources)
        assert one.shape == (rows, *state[one.sources[0]][1:]), one.name


def test_parameters_have_mlc_names() -> None:
    names = [one.name for one in parameters(SHAPE)]
    assert names[0] == "model.embed_tokens.weight"
    assert names[-1] == "model.norm.weight"
    assert "model.layers.1.self_attn.c_attn.bias" in names
    assert "model.layers.0.mlp.gate_up_proj.weight" in names
    assert len(names) == len(set(names))


def test_parameters_quantize_matrices_only() -> None:
    for one in parameters(dataclasses.replace(SHAPE, tie_word_embeddings=False)):
        assert one.quantize == (len(one.shape) == 2), one.name


def test_parameters_have_no_bias_when_the_shape_has_none() -> None:
    shape = dataclasses.replace(SHAPE, attention_bias=False)
    assert not [one.name for one in parameters(shape) if one.name.endswith(".bias")]


def test_weight_map_imports_no_tvm() -> None:
    code = (
        "import sys, webslm.compiler.architectures as a; a.architecture('qwen2'); "
        "sys.exit('tvm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_architecture_refuses_an_unknown_model_type() -> None:
    with pytest.raises(ConfigError, match="'mamba'") as caught:
        architecture("mamba")
    assert "qwen2" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_key_value_heads": 3}, "3 does not divide num_attention_heads 4"),
        ({"head_dim": 18}, "18 is not a multiple of 4"),
        ({"vocab_size": 0}, "vocab_size: 0 is not above zero"),
        (
            {"num_attention_heads": 10, "num_key_value_heads": 2, "head_dim": 256},
            "5 query heads per key head of head_dim 256",
        ),
    ],
)
def test_parameters_refuse_a_shape_the_kernels_cannot_do(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parameters(dataclasses.replace(SHAPE, **change))
