"""``merge``: the merged model is the tuned one and not the base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.errors import ConfigError, StageFailed


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("merge")
    base = training.make_base(folder / "base")
    data = training.make_data(folder / "data")
    training.make_adapter(folder / "adapter", base, data)
    return base, folder / "adapter", data


def edited(adapter: Path, target: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """Copy an adapter with its tensors changed."""
    from safetensors.torch import load_file, save_file

    target.mkdir()
    (target / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    tensors = load_file(adapter / "adapter_model.safetensors")
    edit(tensors)
    save_file(tensors, target / "adapter_model.safetensors", metadata={"format": "pt"})
    return target


def test_merged_checkpoint_says_what_the_adapter_says(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel

    from webslm.training import loaded as reference
    from webslm.training.torch_mode import quiet

    base, adapter, _ = tuned
    found = training.make_merged(tmp_path / "m", *tuned)
    assert found["merged_to_adapter"] <= found["bound"] < found["merged_to_base"]
    targets = len(training.LORA.target_modules) * training.SHAPE.num_hidden_layers
    assert found["changed_tensors"] == targets
    prompt = torch.tensor([[1, 40, 50, 60]])
    merged = reference.load_model(tmp_path / "m")
    with quiet():
        with_adapter = PeftModel.from_pretrained(reference.load_model(base), str(adapter)).eval()
    with torch.inference_mode():
        ours, theirs = merged(input_ids=prompt).logits, with_adapter(input_ids=prompt).logits
        plain = reference.load_model(base)(input_ids=prompt).logits
    assert float((ours - theirs).abs().max()) < 1e-4
    assert float((ours - plain).abs().max()) > 1e-2


def test_tokenizer_and_generation_config_are_carried_byte_for_byte(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    training.make_merged(tmp_path / "m", *tuned)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (tmp_path / "m" / name).read_bytes() == (tuned[0] / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "config.json",
        "generation_config.json",
        "merge.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_same_inputs_give_the_same_bytes(tuned: tuple[Path, Path, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        training.make_merged(tmp_path / name, *tuned)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dtype_is_the_configured_one(
    tuned: tuple[Path, Path, Path], tmp_path: Path, dtype: str
) -> None:
    import json

    from safetensors.torch import load_file

    found = training.make_merged(tmp_path / "m", *tuned, dtype=dtype)
    tensors = load_file(tmp_path / "m" / "model.safetensors")
    assert {str(tensor.dtype) for tensor in tensors.values()} == {f"torch.{dtype}"}
    assert json.loads((tmp_path / "m" / "config.json").read_text())["dtype"] == dtype
    targets = len(training.LORA.target_modules) * training.SHAPE.num_hidden_layers
    assert found["changed_tensors"] == targets
    assert 0 < found["merged_to_adapter"] <= found["bound"]


def test_unknown_dtype_is_named(tuned: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"base\.dtype: 'int8' is not known"):
        training.make_merged(tmp_path / "m", *tuned, dtype="int8")


def test_adapter_that_changes_nothing_is_refused(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    def silence(tensors: dict[str, Any]) -> None:
        for name in tensors:
            if "lora_B" in name:
                tensors[name].zero_()

    idle = edited(tuned[1], tmp_path / "idle", silence)
    with pytest.raises(StageFailed, match="the adapter changed nothing"):
        training.make_merged(tmp_path / "m", tuned[0], idle, tuned[2])


def test_numbers_that_are_not_finite_are_refused(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    def poison(tensors: dict[str, Any]) -> None:
        next(iter(tensors.values()))[0, 0] = float("nan")

    broken = edited(tuned[1], tmp_path / "broken", poison)
    with pytest.raises(StageFailed, match="not finite"):
        training.make_merged(tmp_path / "m", tuned[0], broken, tuned[2])


def test_precision_too_narrow_for_the_weights_is_refused(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    def inflate(tensors: dict[str, Any]) -> None:
        for name in tensors:
            if "lora_B" in name:
                tensors[name] *= 1e8

    large = edited(tuned[1], tmp_path / "large", inflate)
    with pytest.raises(StageFailed, match="not finite") as raised:
        training.make_merged(tmp_path / "m", tuned[0], large, tuned[2], dtype="float16")
    assert "float16 ends at 65504" in str(raised.value.hint)


def test_adapter_weights_without_a_place_are_refused(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    def rename(tensors: dict[str, Any]) -> None:
        for name in [name for name in tensors if ".layers.1." in name]:
            tensors[name.replace(".layers.1.", ".layers.7.")] = tensors.pop(name)

    foreign = edited(tuned[1], tmp_path / "foreign", rename)
    with pytest.raises(StageFailed, match="found no place"):
        training.make_merged(tmp_path / "m", tuned[0], foreign, tuned[2])


def test_adapter_of_another_shape_is_refused(
    tuned: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    def widen(tensors: dict[str, Any]) -> None:
        import torch

        for name in tensors:
            if "lora_A" in name:
                tensors[name] = torch.cat([tensors[name]] * 2, dim=1)

    wide = edited(tuned[1], tmp_path / "wide", widen)
    with pytest.raises(StageFailed, match="does not fit the base"):
        training.make_merged(tmp_path / "m", tuned[0], wide, tuned[2])


def test_merge_that_is_not_the_adapter_is_refused(
    tuned: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge that scales wrongly, as happened to users of peft."""
    from webslm.training import merging

    monkeypatch.setitem(merging.BOUNDS, "bfloat16", 1e-6)
    with pytest.raises(StageFailed, match="merged and adapter logits differ by"):
        training.make_merged(tmp_path / "m", *tuned, dtype="bfloat16")
