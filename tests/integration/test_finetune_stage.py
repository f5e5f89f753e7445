"""``finetune``: what is configured is what is trained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed
from webslm.schema import Device, Loss

MAKE = """
import sys
from pathlib import Path
from tests import training
out, base, data, seed = sys.argv[1:]
training.make_adapter(Path(out), Path(base), Path(data), int(seed), dropout=0.1)
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("finetune")
    return training.make_base(folder / "base"), training.make_data(folder / "data")


def weights(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


def test_adapter_and_log(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    log = training.make_adapter(tmp_path / "a", *inputs)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "train_log.json",
    ]
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    lora = training.LORA
    assert (config["r"], config["lora_alpha"], config["bias"]) == (lora.r, lora.alpha, "none")
    assert config["target_modules"] == sorted(lora.target_modules)
    assert config["base_model_name_or_path"] is None
    assert log["steps"] == 6  # 5 rows in batches of 2, twice
    assert log["epochs"] == 2.0
    assert [step for step, _ in log["loss"]] == list(range(1, 7))
    assert log["loss"][-1][1] < log["loss"][0][1]
    assert log["trained_tokens"] < log["tokens"]
    shape, r = training.SHAPE, lora.r
    heads, groups = shape.num_attention_heads, shape.num_key_value_heads
    per_layer = r * (
        (shape.hidden_size + heads * shape.head_dim)
        + (shape.hidden_size + groups * shape.head_dim)
        + (shape.intermediate_size + shape.hidden_size)
    )
    assert log["trainable_parameters"] == shape.num_hidden_layers * per_layer
    learnt = [run["text"] for run in log["mask_sample"] if run["loss"]]
    assert all(text.endswith("<|im_end|>") for text in learnt)
    assert len(learnt) == 2


def test_same_seed_gives_the_same_bytes_in_another_process(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    found = []
    for name, seed, hash_seed in (("a", "0", "1"), ("b", "0", "2"), ("c", "1", "1")):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        words = [str(tmp_path / name), *map(str, inputs), seed]
        done = subprocess.run(
            [sys.executable, "-c", MAKE, *words],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (done.stdout, done.stderr) == ("", "")
        config = (tmp_path / name / "adapter_config.json").read_bytes()
        found.append((weights(tmp_path / name), config))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": Loss.full},
        {"dropout": 0.5},
        {"weight_decay": 5.0},
        {"lr_scheduler": "cosine"},
        {"warmup_ratio": 0.5},
        {"learning_rate": 5e-3},
        {"alpha": 16},
        {"neftune_alpha": 5.0},
        {"max_steps": 4},
        {"lr_scheduler": "polynomial", "max_steps": 6},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_setting_reaches_the_training(
    inputs: tuple[Path, Path], tmp_path: Path, changes: dict[str, Any]
) -> None:
    training.make_adapter(tmp_path / "plain", *inputs)
    training.make_adapter(tmp_path / "changed", *inputs, **changes)
    assert weights(tmp_path / "plain") != weights(tmp_path / "changed")


def test_scheduler_and_warm_up_are_the_configured_ones(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    log = training.make_adapter(
        tmp_path / "a", *inputs, lr_scheduler="constant_with_warmup", warmup_ratio=0.5
    )
    peak = training.LORA.learning_rate
    assert [rate for _, rate in log["lr"]] == pytest.approx(
        [0, peak / 3, peak * 2 / 3, peak, peak, peak], rel=1e-3
    )


def test_accumulation_makes_fewer_and_larger_steps(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    log = training.make_adapter(
        tmp_path / "a", *inputs, gradient_accumulation_steps=3, batch_size=1, epochs=3.0
    )
    assert log["steps"] == 6  # ceil(5 / 3) a pass


@pytest.mark.parametrize("loss", list(Loss), ids=lambda loss: loss.value)
def test_packed_batches_learn_what_padded_ones_do(
    inputs: tuple[Path, Path], tmp_path: Path, loss: Loss
) -> None:
    """A row that saw its neighbour, or learnt its first token from it, would have another loss."""
    padded = training.make_adapter(tmp_path / "a", *inputs, loss=loss)
    packed = training.make_adapter(tmp_path / "b", *inputs, loss=loss, packing=True)
    assert [value for _, value in packed["loss"]] == pytest.approx(
        [value for _, value in padded["loss"]], abs=2e-3
    )
    assert packed["trained_tokens"] == padded["trained_tokens"]


def test_steps_at_most_lay_the_schedule_over_themselves(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    log = training.make_adapter(tmp_path / "a", *inputs, max_steps=4)
    peak = training.LORA.learning_rate
    assert log["steps"] == 4
    assert [rate for _, rate in log["lr"]] == pytest.approx(
        [peak, peak * 3 / 4, peak / 2, peak / 4], rel=1e-3
    )


def test_gradient_checkpointing_trains_the_same(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    plain = training.make_adapter(tmp_path / "a", *inputs)
    saved = training.make_adapter(tmp_path / "b", *inputs, gradient_checkpointing=True)
    assert [loss for _, loss in saved["loss"]] == pytest.approx(
        [loss for _, loss in plain["loss"]], abs=2e-3
    )


def test_first_loss_is_the_mean_over_answer_tokens(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Against torch's own cross entropy on tokens marked by hand."""
    import torch

    from webslm.training import loaded as reference

    data = training.make_data(tmp_path / "data", training.rows()[:1])
    log = training.make_adapter(tmp_path / "a", inputs[0], data, epochs=1.0)
    messages = training.rows()[0]["messages"]
    tokenizer = reference.load_tokenizer(inputs[0])
    model = reference.load_model(inputs[0])
    prompt = tokenizer(
        f"<|im_start|>system\n{messages[0]['content']}<|im_end|>\n"
        f"<|im_start|>user\n{messages[1]['content']}<|im_end|>\n<|im_start|>assistant\n"
    )["input_ids"]
    answer = tokenizer(messages[2]["content"] + "<|im_end|>")["input_ids"]
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    expected = float(torch.nn.functional.cross_entropy(logits, torch.tensor(answer)))
    assert log["loss"][0][1] == pytest.approx(expected, abs=2e-3)
    assert log["trained_tokens"] == len(answer)


def test_row_above_max_length_stops_before_training(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"training row 5 has \d+ tokens, 60 are allowed"):
        training.make_adapter(tmp_path / "a", *inputs, max_length=60)
    assert not list((tmp_path / "a").iterdir())


def test_target_that_matches_nothing_is_named(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    targets = ["q_proj", "qkv_proj", "gate_up_proj"]
    with pytest.raises(ConfigError, match=r"target_modules: qkv_proj, gate_up_proj matches no"):
        training.make_adapter(tmp_path / "a", *inputs, target_modules=targets)
    with pytest.raises(ConfigError, match="the empty list") as raised:
        training.make_adapter(tmp_path / "b", *inputs, target_modules=[])
    assert raised.value.hint is not None
    assert "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in raised.value.hint
    with pytest.raises(ConfigError, match="lm_head"):
        training.make_adapter(tmp_path / "c", *inputs, target_modules=["lm_head"])


def test_unknown_scheduler_is_named(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lora\.lr_scheduler: 'steep' is not known"):
        training.make_adapter(tmp_path / "a", *inputs, lr_scheduler="steep")


def test_loss_that_is_no_number_stops(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    """A base with one broken weight: every logit of its tokens is no number."""
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(inputs[0], broken)
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StageFailed, match="finetune: the loss is nan at step 1"):
        training.make_adapter(tmp_path / "a", broken, inputs[1])
    assert not list((tmp_path / "a").iterdir())


def test_gpu_that_is_not_there_is_named(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EnvironmentMismatch, match="cuda asked for and none found"):
        training.make_adapter(tmp_path / "a", *inputs, device=Device.cuda)
