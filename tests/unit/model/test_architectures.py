"""Weight maps, shapes and configurations of all architectures, against transformers' own."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
from transformers import AutoConfig

from tests.integration.architecture_models import SHAPES, random_model, small
from webslm.basics.errors import ConfigError
from webslm.config.checks.base import SUPPORTED_MODELS
from webslm.model.architectures import ARCHITECTURES, architecture
from webslm.model.architectures.rope import rope_table
from webslm.model.architectures.shape import local_layers
from webslm.model.architectures.support import EXAMPLES, explain_unsupported
from webslm.schema import RopeScalingConf, ShapeConf


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_take_every_tensor_of_the_checkpoint_once(name: str) -> None:
    shape = SHAPES[name]
    state = {key: tuple(one.shape) for key, one in random_model(shape).state_dict().items()}
    if shape.tie_word_embeddings:
        del state["lm_head.weight"]
    found = architecture(shape.model_type).parameters(shape)
    assert sorted(source for one in found for source in one.sources) == sorted(state)
    assert len({one.name for one in found}) == len(found)
    for one in found:
        rows = sum(state[source][0] for source in one.sources)
        assert one.shape == (rows, *state[one.sources[0]][1:]), one.name
        assert one.quantize == (len(one.shape) == 2), one.name


@pytest.mark.parametrize(("name", "joined"), [("qwen2_untied", "c_attn"), ("phi3", "qkv_proj")])
def test_parameters_have_mlc_names(name: str, joined: str) -> None:
    shape = SHAPES[name]
    names = [one.name for one in architecture(shape.model_type).parameters(shape)]
    assert names[0] == "model.embed_tokens.weight"
    assert names[-2:] == ["model.norm.weight", "lm_head.weight"]
    assert (f"model.layers.1.self_attn.{joined}.bias" in names) == shape.attention_bias
    assert f"model.layers.1.self_attn.{joined}.weight" in names
    assert "model.layers.0.mlp.gate_up_proj.weight" in names


@pytest.mark.parametrize("name", SHAPES)
def test_shape_and_configuration_are_each_others_inverse(name: str) -> None:
    """Through transformers 5, which spells the same model otherwise, and without it."""
    shape = SHAPES[name]
    family = architecture(shape.model_type)
    config = family.config(shape)
    assert config["architectures"] == [family.causal_lm]
    assert explain_unsupported(config) is None
    assert family.shape(config) == shape
    five = AutoConfig.for_model(**config).to_dict()
    assert "rope_parameters" in five
    assert explain_unsupported(five) is None
    found = family.shape(five)
    if shape.rope_scaling.rope_type != "default":
        # transformers writes down the factors that it works out.
        kept = shape.rope_scaling
        assert rope_table(found).amplitude == pytest.approx(rope_table(shape).amplitude)
        found = dataclasses.replace(found, rope_scaling=kept)
    assert found == shape


@pytest.mark.parametrize("name", SHAPES)
def test_rope_tables_are_those_of_transformers(name: str) -> None:
    import numpy as np

    shape = SHAPES[name]
    rotary = random_model(shape).model.rotary_emb
    for local in {False, any(local_layers(shape))}:
        kind = "sliding_attention_" if local else "full_attention_"
        own = getattr(rotary, f"{kind}inv_freq", None)
        wanted = (rotary.inv_freq if own is None else own).numpy()
        table = rope_table(shape, local=local)
        np.testing.assert_allclose(table.frequencies[0], wanted, rtol=1e-6)


def test_every_architecture_is_named_for_people_and_for_the_check() -> None:
    assert set(EXAMPLES) == set(ARCHITECTURES) == set(SUPPORTED_MODELS)
    assert {shape.model_type for shape in SHAPES.values()} == set(ARCHITECTURES)


def test_architectures_import_neither_tvm_nor_numpy() -> None:
    code = (
        "import sys, webslm.config.checks.values, webslm.model.architectures.support; "
        "sys.exit(bool({'tvm', 'numpy', 'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_architecture_refuses_an_unknown_model_type() -> None:
    with pytest.raises(ConfigError, match="'mamba'") as caught:
        architecture("mamba")
    assert "qwen2" in (caught.value.hint or "")


# As the hub spells them, cut to what decides.
HUB: dict[str, dict[str, Any]] = {
    "gemma2": {
        "model_type": "gemma2", "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
        "head_dim": 256, "vocab_size": 256000, "max_position_embeddings": 8192,
        "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
        "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
        "query_pre_attn_scalar": 256, "sliding_window": 4096, "rope_theta": 10000.0,
    },
    "gemma3_text": {
        "model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912,
        "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1,
        "head_dim": 256, "vocab_size": 262144, "max_position_embeddings": 32768,
        "hidden_activation": "gelu_pytorch_tanh", "attn_logit_softcapping": None,
        "final_logit_softcapping": None, "query_pre_attn_scalar": 256, "sliding_window": 512,
        "sliding_window_pattern": 6, "rope_local_base_freq": 10000, "rope_theta": 1000000,
        "rope_scaling": None,
    },
    "phi3": {
        "model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
        "vocab_size": 32064, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
        "original_max_position_embeddings": 4096, "sliding_window": 262144,
        "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48},
    },
}  # fmt: skip


def test_gemma_2_alternates_and_gemma_3_has_five_local_layers_to_one() -> None:
    two = ARCHITECTURES["gemma2"].shape(HUB["gemma2"])
    assert local_layers(two) == (True, False) * 13
    assert (two.attn_logit_softcapping, two.final_logit_softcapping) == (50.0, 30.0)
    assert two.tie_word_embeddings is True
    three = ARCHITECTURES["gemma3_text"].shape(HUB["gemma3_text"])
    assert [i for i, local in enumerate(local_layers(three)) if not local] == [5, 11, 17, 23]
    assert (three.rope_theta, three.rope_local_base_freq) == (1e6, 1e4)
    assert three.attn_logit_softcapping is None


def test_phi_3_5_has_no_window_that_hides_anything() -> None:
    shape = ARCHITECTURES["phi3"].shape(HUB["phi3"])
    assert not any(local_layers(shape))
    assert shape.rope_scaling.original_max_position_embeddings == 4096
    # sqrt(1 + ln(32) / ln(4096)), as its model card has it.
    assert rope_table(shape).amplitude == pytest.approx(1.1902380714)
    assert rope_table(shape).switch == 4096


def test_qwen_slides_only_when_it_says_so() -> None:
    base = {**ARCHITECTURES["qwen2"].config(SHAPES["qwen2_untied"]), "sliding_window": 32}
    family = ARCHITECTURES["qwen2"]
    assert not any(local_layers(family.shape(base)))
    sliding = {**base, "use_sliding_window": True, "max_window_layers": 1}
    assert local_layers(family.shape(sliding)) == (False, True)


@pytest.mark.parametrize(
    ("config", "named", "nearest"),
    [
        ({"model_type": "mixtral", "num_local_experts": 8}, "needs experts", "mistral"),
        ({"model_type": "gemma3", "vision_config": {"a": 1}}, "images or sound", "gemma3_text"),
        ({"model_type": "qwen2_moe", "num_experts": 4}, "experts", "qwen2"),
        ({"model_type": "mamba", "state_size": 16}, "state-space layers", "supported: "),
        ({"model_type": "olmo2"}, "'olmo2' cannot be compiled", "llama"),
        ({}, "'None' cannot be compiled", "supported: "),
        ({"model_type": "llama", "mlp_bias": True}, "mlp_bias", "another of"),
        ({"model_type": "llama", "hidden_act": "gelu"}, "hidden_act 'gelu'", "another of"),
        ({"model_type": "llama", "rope_scaling": {"type": "yarn"}}, "rope_type 'yarn'", "another"),
    ],
)
def test_unsupported_models_get_what_is_missing_and_what_is_near(
    config: dict[str, Any], named: str, nearest: str
) -> None:
    found = explain_unsupported(config)
    assert found is not None
    assert named in found[0]
    assert nearest in found[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_key_value_heads": 3}, "4 query heads do not share 3 key-value heads evenly"),
        ({"head_dim": 18}, "18 is not a multiple of 4"),
        ({"vocab_size": 0}, "vocab_size: 0 is not above 0"),
        ({"hidden_act": "relu"}, "hidden_act: no 'relu'"),
        ({"layer_types": ["full_attention"]}, "1 types for 2 layers"),
        ({"layer_types": ["full_attention", "chunked"]}, "layer_types: no chunked"),
        ({"layer_types": ["sliding_attention"] * 2}, "sliding_window: missing"),
        ({"sliding_window": 0}, "sliding_window: 0 sees nothing"),
        ({"partial_rotary_factor": 0.3}, "0.3 of 16 is no even part"),
        ({"rope_scaling": RopeScalingConf(rope_type="yarn")}, "rope_type: no 'yarn'"),
        ({"rope_scaling": RopeScalingConf(rope_type="linear", factor=0.0)}, "factor: 0.0"),
        (
            {"rope_scaling": RopeScalingConf(rope_type="longrope")},
            "short_factor: not one factor for",
        ),
    ],
)
def test_parameters_refuse_a_shape_that_cannot_be(change: dict[str, Any], message: str) -> None:
    shape: ShapeConf = small("llama", **change)
    with pytest.raises(ConfigError) as caught:
        architecture("llama").parameters(shape)
    assert message in str(caught.value)
