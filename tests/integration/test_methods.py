"""Methods of fine-tuning beside LoRA: what learns, and that the merge keeps it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from tests.integration.architecture_models import SHAPES, random_model
from webslm.basics.errors import EnvironmentMismatch
from webslm.compiler.targets import targets
from webslm.schema import Device, Finetune, FinetuneStageConf
from webslm.stages import finetune
from webslm.training import methods

RATE = {Finetune.lora: 1e-2, Finetune.dora: 1e-2, Finetune.full: 1e-3}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("methods")
    return training.make_base(folder / "base"), training.make_data(folder / "data")


@pytest.mark.parametrize("method", [Finetune.dora, Finetune.full])
def test_method_learns_and_its_merge_says_what_was_learnt(
    inputs: tuple[Path, Path], tmp_path: Path, method: Finetune
) -> None:
    log = training.make_adapter(
        tmp_path / "tuned", *inputs, method=method, epochs=4.0, learning_rate=RATE[method]
    )
    assert log["loss"][-1][1] < log["loss"][0][1]
    merged = training.make_merged(tmp_path / "m", inputs[0], tmp_path / "tuned", inputs[1])
    assert merged["merged_to_adapter"] <= merged["bound"] < merged["merged_to_base"]
    names = {path.name for path in (tmp_path / "tuned").iterdir()}
    if method is Finetune.full:
        assert log["trainable_parameters"] == merged["parameters"]
        # Rotary tables and the shared head are no weights of their own.
        assert merged["changed_tensors"] == merged["tensors"]
        assert {"config.json", "model.safetensors"} <= names
    else:
        config = json.loads((tmp_path / "tuned" / "adapter_config.json").read_text())
        assert config["use_dora"] is True
        plain = training.make_adapter(tmp_path / "lora", *inputs)
        assert log["trainable_parameters"] > plain["trainable_parameters"]


@pytest.mark.parametrize("method", [Finetune.dora, Finetune.full])
def test_same_seed_gives_the_same_bytes(
    inputs: tuple[Path, Path], tmp_path: Path, method: Finetune
) -> None:
    for name in ("one", "two"):
        training.make_adapter(tmp_path / name, *inputs, method=method, dropout=0.1)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_full_and_lora_learn_other_weights(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    """A full model merged in bfloat16 has that type; the base's own stays float32."""
    from safetensors.torch import load_file

    training.make_adapter(tmp_path / "tuned", *inputs, method=Finetune.full)
    training.make_merged(tmp_path / "m", inputs[0], tmp_path / "tuned", inputs[1], "bfloat16")
    kinds = {str(tensor.dtype) for tensor in load_file(tmp_path / "m/model.safetensors").values()}
    assert kinds == {"torch.bfloat16"}


def test_qlora_without_a_gpu_is_refused_before_work() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    conf = FinetuneStageConf(
        lora=replace(training.LORA, device=Device.auto), seed=0, method=Finetune.qlora
    )
    with pytest.raises(EnvironmentMismatch, match="qlora holds the base in 4 bits on a GPU") as e:
        finetune.check_machine(conf)
    assert e.value.hint is not None
    assert "finetune=lora" in e.value.hint


@pytest.mark.parametrize("name", SHAPES)
def test_targets_of_an_architecture_are_all_its_linear_modules(name: str) -> None:
    import torch

    model: Any = random_model(SHAPES[name])
    found = targets(SHAPES[name].model_type)
    methods.check_targets(model, found)
    linear = {
        path.rpartition(".")[2]
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings()
    }
    assert set(found) == linear
