"""Bases that are not made here: local folders of every spelling, and random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests import training
from webslm.config.local_base import read_shape
from webslm.model.architectures import architecture
from webslm.model.weights.checkpoint import Checkpoint
from webslm.schema import (
    BaseSource,
    BaseStageConf,
    ConvertStageConf,
    MergeStageConf,
    NormalizeStageConf,
    QuantConf,
    ShapeConf,
    Weights,
)
from webslm.stages import base, convert, merge, normalize
from webslm.training import random_weights
from webslm.training.loaded import load_model

Q4 = QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding="f32-to-bf16")


def random_base(folder: Path, shape: ShapeConf, dtype: str = "float32", seed: int = 0) -> Path:
    folder.mkdir()
    conf = training.base_conf(weights=Weights.random, shape=shape, dtype=dtype)
    base.run(BaseStageConf(base=conf, seed=seed), {}, folder, training.context(folder.parent))
    return folder


def local_base(folder: Path, path: Path) -> Path:
    folder.mkdir()
    conf = training.base_conf(source=BaseSource.local, path=str(path), shape=read_shape(path))
    base.run(BaseStageConf(base=conf, seed=0), {}, folder, training.context(folder.parent))
    return folder


def untuned(root: Path, base_dir: Path, shape: ShapeConf) -> Mapping[str, Any]:
    """Run merge, normalize and convert without a fine-tune; return convert's metrics."""
    ctx = training.context(root)
    inputs = {"base": base_dir}
    for name in ("merge", "normalize", "convert"):
        (root / name).mkdir()
    merge.run(MergeStageConf(dtype="float32"), inputs, root / "merge", ctx)
    inputs["merge"] = root / "merge"
    normalize.run(NormalizeStageConf(shape=shape), inputs, root / "normalize", ctx)
    inputs["normalize"] = root / "normalize"
    return convert.run(ConvertStageConf(shape=shape, quant=Q4), inputs, root / "convert", ctx)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shard", ["1GB", "100KB"])
def test_local_folder_of_any_spelling_is_built_untuned(
    dtype: str, shard: str, tmp_path: Path
) -> None:
    made = random_base(tmp_path / "made", training.SHAPE)
    saved = tmp_path / "mine"
    model = AutoModelForCausalLM.from_pretrained(made, dtype=getattr(torch, dtype))
    model.save_pretrained(saved, max_shard_size=shard)
    assert (saved / "model.safetensors.index.json").exists() == (shard == "100KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (saved / name).write_bytes((made / name).read_bytes())
    shape = read_shape(saved)
    assert shape.hidden_size == training.SHAPE.hidden_size
    copied = local_base(tmp_path / "base", saved)
    metrics = untuned(tmp_path, copied, shape)
    assert metrics["tensors"] == len(architecture("qwen2").parameters(shape))
    merged = Checkpoint(tmp_path / "merge")
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            found = np.concatenate([*merged.blocks(name)])
            assert np.array_equal(found, tensor.float().numpy()), name


def test_store_keeps_a_copy_not_a_link_of_the_users_weights(tmp_path: Path) -> None:
    made = random_base(tmp_path / "made", training.SHAPE)
    copied = local_base(tmp_path / "base", made)
    before = (copied / "model.safetensors").read_bytes()
    with (made / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"zzzz")
    assert (copied / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("tied", [True, False])
def test_random_weights_load_and_follow_the_seed(dtype: str, tied: bool, tmp_path: Path) -> None:
    shape = replace(training.SHAPE, tie_word_embeddings=tied, vocab_size=2000)
    one = random_base(tmp_path / "one", shape, dtype)
    again = random_base(tmp_path / "again", shape, dtype)
    other = random_base(tmp_path / "other", shape, dtype, seed=1)
    data = [(folder / "model.safetensors").read_bytes() for folder in (one, again, other)]
    assert data[0] == data[1] != data[2]
    model = load_model(one)
    Checkpoint(one).check(architecture("qwen2").parameters(shape))
    with torch.inference_mode():
        logits = model(input_ids=torch.arange(20)[None]).logits
    assert torch.isfinite(logits).all()
    weight = model.get_input_embeddings().weight
    assert float(weight.detach().std()) == pytest.approx(shape.hidden_size**-0.5, rel=0.05)
    facts = json.loads((one / "base.json").read_text(encoding="utf-8"))
    assert facts["weights"] == "random"


def test_large_random_base_is_split_into_indexed_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = random_base(tmp_path / "whole", training.SHAPE)
    monkeypatch.setattr(random_weights, "SHARD_BYTES", 60_000)
    split = random_base(tmp_path / "split", training.SHAPE)
    assert len(list(split.glob("*.safetensors"))) > 2
    one, other = Checkpoint(whole), Checkpoint(split)
    assert set(one.tensors) == set(other.tensors)
    for name in one.tensors:
        left, right = ([*source.blocks(name)] for source in (one, other))
        assert np.array_equal(np.concatenate(left), np.concatenate(right))
    assert load_model(split).num_parameters() == load_model(whole).num_parameters()
