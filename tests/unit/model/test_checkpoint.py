"""Checkpoint folders: types, shards, blocks, and every way in which they can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file

from webslm.basics.errors import StageFailed
from webslm.model.architectures.weight_maps import Parameter
from webslm.model.weights.checkpoint import Checkpoint

Array = npt.NDArray[np.float32]
MAP = [
    Parameter(name="qkv.weight", shape=(6, 4), sources=("q.weight", "k.weight"), quantize=True),
    Parameter(name="norm.weight", shape=(4,), sources=("norm.weight",)),
]


@pytest.fixture
def tensors() -> dict[str, Array]:
    random = np.random.default_rng(0)
    shapes = {"q.weight": (4, 4), "k.weight": (2, 4), "norm.weight": (4,)}
    return {n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}


def write_index(folder: Path, weight_map: dict[str, str]) -> None:
    text = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text)


def whole(checkpoint: Checkpoint, name: str, block_bytes: int = 32) -> Array:
    return np.concatenate(list(checkpoint.blocks(name, block_bytes=block_bytes)))


def test_blocks_give_every_row_in_order(tmp_path: Path, tensors: dict[str, Array]) -> None:
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    checkpoint = Checkpoint(tmp_path)
    checkpoint.check(MAP)
    assert checkpoint.nbytes == 4 * (16 + 8 + 4)
    for name, values in tensors.items():
        assert np.array_equal(whole(checkpoint, name), values)
    assert [len(b) for b in checkpoint.blocks("q.weight", block_bytes=48)] == [3, 1]
    assert [len(b) for b in checkpoint.blocks("norm.weight", block_bytes=12)] == [3, 1]


def test_blocks_decode_half_precision(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save_torch

    values = torch.randn(5, 7)
    halves = {"bf16": values.bfloat16(), "fp16": values.half()}
    save_torch(halves, tmp_path / "model.safetensors")
    checkpoint = Checkpoint(tmp_path)
    for name, stored in halves.items():
        assert np.array_equal(whole(checkpoint, name), stored.float().numpy())


def test_shards_are_found_through_the_index(tmp_path: Path, tensors: dict[str, Array]) -> None:
    first = {"q.weight": tensors["q.weight"]}
    save_file(first, tmp_path / "a.safetensors")
    save_file({n: t for n, t in tensors.items() if n not in first}, tmp_path / "b.safetensors")
    write_index(tmp_path, {n: "a.safetensors" if n in first else "b.safetensors" for n in tensors})
    checkpoint = Checkpoint(tmp_path)
    checkpoint.check(MAP)
    for name, values in tensors.items():
        assert np.array_equal(whole(checkpoint, name), values)


@pytest.mark.parametrize("target", ["../a.safetensors", "/etc/passwd", "..", "", "x\\..\\y"])
def test_index_cannot_leave_the_folder(
    tmp_path: Path, tensors: dict[str, Array], target: str
) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    inside = tmp_path / "inside"
    inside.mkdir()
    write_index(inside, {"q.weight": target})
    with pytest.raises(StageFailed, match=r"q\.weight points outside the folder"):
        Checkpoint(inside)


def test_index_and_shards_must_agree(tmp_path: Path, tensors: dict[str, Array]) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    write_index(tmp_path, dict.fromkeys(tensors, "a.safetensors") | {"v": "a.safetensors"})
    with pytest.raises(StageFailed, match=r"v: .* says a\.safetensors, it is not there"):
        Checkpoint(tmp_path)
    write_index(tmp_path, dict.fromkeys(list(tensors)[:2], "a.safetensors"))
    with pytest.raises(StageFailed, match=r"norm\.weight: in a\.safetensors but not in"):
        Checkpoint(tmp_path)
    write_index(tmp_path, {"q.weight": "gone.safetensors"})
    with pytest.raises(StageFailed, match=r"names gone\.safetensors, and .* has no such file"):
        Checkpoint(tmp_path)


def test_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"has no model\.safetensors") as caught:
        Checkpoint(tmp_path)
    assert caught.value.hint is not None


def test_check_names_a_missing_tensor(tmp_path: Path, tensors: dict[str, Array]) -> None:
    del tensors["k.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(StageFailed, match=r"it lacks k\.weight"):
        Checkpoint(tmp_path).check(MAP)


def test_check_names_unused_tensors_but_for_known_ones(
    tmp_path: Path, tensors: dict[str, Array]
) -> None:
    tensors["layers.0.rotary_emb.inv_freq"] = np.zeros(2, dtype=np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    Checkpoint(tmp_path).check(MAP, ignorable=(".rotary_emb.inv_freq",))
    with pytest.raises(StageFailed, match=r"nothing uses its layers\.0\.rotary_emb"):
        Checkpoint(tmp_path).check(MAP)


@pytest.mark.parametrize(
    ("name", "shape"), [("k.weight", (3, 4)), ("k.weight", (2, 5)), ("norm.weight", (4, 1))]
)
def test_check_names_a_wrong_shape(
    tmp_path: Path, tensors: dict[str, Array], name: str, shape: tuple[int, ...]
) -> None:
    tensors[name] = np.zeros(shape, dtype=np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(StageFailed) as caught:
        Checkpoint(tmp_path).check(MAP)
    assert f"{name} {list(shape)}" in caught.value.message


def test_check_refuses_a_tensor_mapped_twice(tmp_path: Path, tensors: dict[str, Array]) -> None:
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(StageFailed, match=r"norm\.weight: mapped to more than one"):
        Checkpoint(tmp_path).check([*MAP, MAP[1]])


def test_truncated_and_foreign_files_are_refused(tmp_path: Path, tensors: dict[str, Array]) -> None:
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(StageFailed, match=r"does not hold its \[\d") as caught:
        Checkpoint(tmp_path)
    assert "truncated" in str(caught.value.hint)
    path.write_bytes(b"<html>not a model</html>")
    with pytest.raises(StageFailed, match="no safetensors file"):
        Checkpoint(tmp_path)
    path.write_bytes((4).to_bytes(8, "little") + b"[1]]")
    with pytest.raises(StageFailed, match="unreadable"):
        Checkpoint(tmp_path)


def test_integers_are_no_weights(tmp_path: Path) -> None:
    save_file({"w": np.arange(4)}, tmp_path / "model.safetensors")
    with pytest.raises(StageFailed, match="w: stored as I64"):
        list(Checkpoint(tmp_path).blocks("w"))
