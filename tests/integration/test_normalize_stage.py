"""``normalize`` on both spellings of config.json, and on checkpoints that cannot be built."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.errors import StageFailed
from webslm.basics.stage import Context
from webslm.model.architectures.canonical import canonical
from webslm.schema import NormalizeStageConf, ShapeConf
from webslm.stages.normalize import run

SHAPE = ShapeConf(
    model_type="qwen2",
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=300,
    rope_theta=1000000.0,
    tie_word_embeddings=True,
    max_position_embeddings=256,
)
# As Qwen/Qwen2.5-0.5B-Instruct spells it (transformers 4).
FOUR: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 96,
    "max_position_embeddings": 256,
    "max_window_layers": 2,
    "model_type": "qwen2",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 256,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "transformers_version": "4.43.1",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 300,
}
Normalize = Callable[[Path], Path]


def save_five(folder: Path) -> None:
    """Save the same model's configuration with the installed transformers 5."""
    from transformers import Qwen2Config

    keys = set(FOUR) - {"rope_theta", "torch_dtype", "transformers_version", "model_type"}
    config = Qwen2Config(
        **{key: FOUR[key] for key in keys},
        dtype="float32",
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
    )
    config.save_pretrained(folder)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint folder without weights: normalize reads none."""
    folder = tmp_path / "merge"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(FOUR))
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 0], "top_k": 1}')
    (folder / "tokenizer.json").write_text('{"model": {}}')
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    return folder


@pytest.fixture
def normalize(tmp_path: Path) -> Normalize:
    def call(folder: Path) -> Path:
        out = tmp_path / f"out_{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        context = Context(cache_dir=tmp_path, log_dir=tmp_path)
        run(NormalizeStageConf(shape=SHAPE), {"merge": folder}, out, context)
        return out

    return call


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_normalize_gives_one_file_for_both_spellings(
    checkpoint: Path, normalize: Normalize
) -> None:
    four = (normalize(checkpoint) / "config.json").read_bytes()
    save_five(checkpoint)
    stored = json.loads((checkpoint / "config.json").read_text())
    assert "rope_theta" not in stored
    assert "torch_dtype" not in stored
    assert (normalize(checkpoint) / "config.json").read_bytes() == four
    assert json.loads(four)["rope_theta"] == 1000000.0


def test_normalize_is_idempotent(checkpoint: Path, normalize: Normalize) -> None:
    once = normalize(checkpoint)
    twice = normalize(once)
    names = sorted(path.name for path in once.iterdir())
    assert names == sorted(path.name for path in twice.iterdir())
    for name in names:
        assert (once / name).read_bytes() == (twice / name).read_bytes()


@pytest.mark.parametrize(
    "spelling",
    [
        {"rope_theta": 5e5},
        {"rope_scaling": {"rope_type": "default", "rope_theta": 5e5}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {"rope_theta": 5e5, "rope_scaling": None},
    ],
)
def test_canonical_finds_rope_theta_wherever_it_stands(spelling: dict[str, Any]) -> None:
    config = canonical({k: v for k, v in FOUR.items() if k != "rope_theta"} | spelling)
    assert (config["rope_theta"], config["rope_scaling"]) == (5e5, None)


def test_normalize_config_means_the_same_to_transformers(
    checkpoint: Path, normalize: Normalize
) -> None:
    import torch
    from transformers import AutoConfig, Qwen2Config

    config = AutoConfig.from_pretrained(normalize(checkpoint))
    assert isinstance(config, Qwen2Config)
    assert config.rope_parameters["rope_theta"] == 1000000.0
    assert config.rope_parameters["rope_type"] == "default"
    assert config.dtype == torch.float32
    assert config.num_key_value_heads == 2
    assert config.tie_word_embeddings is True
    assert set(config.layer_types) == {"full_attention"}


def test_normalize_carries_generation_and_tokenizer_files(
    checkpoint: Path, normalize: Normalize
) -> None:
    (checkpoint / "chat_template.jinja").write_text("{{ messages }}")
    out = normalize(checkpoint)
    assert json.loads((out / "generation_config.json").read_text()) == {
        "eos_token_id": [2, 0],
        "top_k": 1,
    }
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (checkpoint / name).read_bytes()
    assert not list(out.glob("*.safetensors"))


def test_normalize_makes_a_generation_config_where_there_is_none(
    checkpoint: Path, normalize: Normalize
) -> None:
    (checkpoint / "generation_config.json").unlink()
    found = json.loads((normalize(checkpoint) / "generation_config.json").read_text())
    assert found == {"bos_token_id": 0, "eos_token_id": 2}


def test_normalize_lists_every_field_that_differs(checkpoint: Path, normalize: Normalize) -> None:
    change(checkpoint, num_hidden_layers=3, rope_theta=1e4, tie_word_embeddings=False)
    with pytest.raises(StageFailed) as caught:
        normalize(checkpoint)
    message = caught.value.message
    assert "num_hidden_layers: checkpoint 3, base.shape 2" in message
    assert "rope_theta: checkpoint 10000.0, base.shape 1000000.0" in message
    assert "tie_word_embeddings: checkpoint False, base.shape True" in message
    assert "vocab_size" not in message


def test_normalize_tells_which_model_types_are_supported(
    checkpoint: Path, normalize: Normalize
) -> None:
    change(checkpoint, model_type="mamba")
    with pytest.raises(StageFailed, match="model_type 'mamba' cannot be compiled") as caught:
        normalize(checkpoint)
    assert "qwen2" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "rope_type 'yarn'"),
        ({"rope_parameters": {"rope_type": "dynamic"}}, "rope_type 'dynamic'"),
        ({"num_experts": 8}, "experts"),
        ({"layer_types": ["full_attention", "chunked_attention"]}, "chunked_attention"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "(gptq, 4 bits)"),
    ],
)
def test_normalize_refuses_what_the_library_does_not_compute(
    checkpoint: Path, normalize: Normalize, values: dict[str, Any], named: str
) -> None:
    change(checkpoint, **values)
    with pytest.raises(StageFailed) as caught:
        normalize(checkpoint)
    assert named in caught.value.message


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rope_parameters": {"rope_type": "linear", "factor": 8.0}}, "rope_scaling: checkpoint"),
        (
            {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": 64},
            "sliding_window: checkpoint 64, base.shape None",
        ),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding_attention"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor: checkpoint 0.5, base.shape 1.0"),
    ],
)
def test_normalize_refuses_what_the_shape_does_not_declare(
    checkpoint: Path, normalize: Normalize, values: dict[str, Any], named: str
) -> None:
    change(checkpoint, **values)
    with pytest.raises(StageFailed, match="not the declared shape") as caught:
        normalize(checkpoint)
    assert named in caught.value.message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, r"unreadable .*config\.json"),
        ("config.json", "[]", "not a JSON object"),
        ("config.json", '{"model_type": "qwen2"}', "no hidden_size, intermediate_size"),
        ("tokenizer.json", None, r"no tokenizer\.json"),
        ("tokenizer_config.json", "{}", "has no chat template"),
    ],
)
def test_normalize_names_what_is_missing(
    checkpoint: Path, normalize: Normalize, name: str, content: str | None, message: str
) -> None:
    if content is None:
        (checkpoint / name).unlink()
    else:
        (checkpoint / name).write_text(content)
    with pytest.raises(StageFailed, match=message):
        normalize(checkpoint)
