"""What passes for a checkpoint is loaded as transformers loads it, to the last bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests import checkpoint_faults, checkpoints, config_faults, training
from webslm.basics.errors import ConfigError, StageFailed
from webslm.config.local_base import read_shape
from webslm.model.architectures import architecture
from webslm.schema import BaseSource, BaseStageConf, ConvertStageConf, QuantConf
from webslm.stages import base, convert
from webslm.training.loaded import load_model
from webslm.training.torch_mode import quiet

FAULTS = dict([*checkpoint_faults.mutations(), *config_faults.mutations()])
LOADED = (
    "tensor model.layers.0.mlp.up_proj.weight in float16",
    "tensor model.norm.weight in float64",
    "tensor model.layers.0.self_attn.q_proj.weight transposed",
    "model.safetensors a link",
    "shards: whole",
    "shards: an old index beside one file",
    "shards: an older save beside one file",
    "an adapter beside",
    "old rotary buffers left in",
    "config.json: rope_theta is a fraction",
    "config.json: rope_scaling is linear by one",
    "config.json: rope_parameters is llama3",
    "config.json: rope_scaling is llama3 without its length",
    "config.json: the keys of Mistral",
    "config.json: head_dim is null",
    "config.json: pad_token_id is minus one",
    "tokenizer: its pad_token past the table",
    "tokenizer: padding that only its configuration names",
    "generation_config.json: temperature is text",
)
UNREADABLE = ("shards: metadata missing", "config.json: use_cache is text",
              "config.json: hidden_size is as a float", "config.json: pad_token_id is huge",
              "config.json: tie_word_embeddings is null")  # fmt: skip
"""What transformers cannot read at all and the base stage spells as it can."""
IDS = torch.tensor([[5, 9, 33, 200, 17, 254, 80]])


def faulty(folder: Path, name: str) -> Path:
    FAULTS[name](checkpoints.write(folder))
    return folder


def settled(folder: Path, source: Path) -> Path:
    folder.mkdir()
    conf = training.base_conf(source=BaseSource.local, path=str(source), shape=read_shape(source))
    base.run(BaseStageConf(base=conf, seed=0), {}, folder, training.context(folder.parent))
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


def theirs(folder: Path) -> torch.Tensor:
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
        )
    return logits(model)


@pytest.mark.parametrize("name", LOADED)
def test_what_passes_computes_what_transformers_computes(name: str, tmp_path: Path) -> None:
    try:
        source = faulty(tmp_path / "source", name)
        made = settled(tmp_path / "base", source)
    except (ConfigError, StageFailed):
        pytest.fail(f"{name}: refused")
    assert torch.equal(logits(load_model(made)), theirs(source))


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_transformers_cannot_read_is_spelt_so_that_it_can(name: str, tmp_path: Path) -> None:
    source = faulty(tmp_path / "source", name)
    with pytest.raises(Exception):  # noqa: B017, PT011  whatever its checks raise
        theirs(source)
    made = settled(tmp_path / "base", source)
    whole = checkpoints.write(tmp_path / "whole")
    assert torch.equal(logits(load_model(made)), theirs(whole))


@pytest.mark.parametrize("name", ["shards: an older save beside one file", "shards: whole"])
def test_training_and_conversion_read_one_set_of_weights(name: str, tmp_path: Path) -> None:
    made = settled(tmp_path / "base", faulty(tmp_path / "source", name))
    shape = read_shape(made)
    quant = QuantConf(name="q0f32", bits=0, dtype="float32")
    (tmp_path / "convert").mkdir()
    conf = ConvertStageConf(shape=shape, quant=quant)
    convert.run(conf, {"merge": made}, tmp_path / "convert", training.context(tmp_path))
    parameters = architecture(shape.model_type).parameters(shape)
    state = convert.dequantized_state(tmp_path / "convert", parameters, quant)
    assert torch.equal(logits(load_model(made, state)), logits(load_model(made)))
    assert torch.equal(logits(load_model(made)), theirs(checkpoints.write(tmp_path / "whole")))


def test_a_base_whose_padding_has_no_row_is_tuned(tmp_path: Path) -> None:
    name = "tokenizer: its pad_token past the table"
    made = settled(tmp_path / "base", faulty(tmp_path / "source", name))
    data = training.make_data(tmp_path / "data")
    log = training.make_adapter(tmp_path / "adapter", made, data, max_length=512, max_steps=2)
    assert log["steps"] == 2


def test_loading_refuses_what_transformers_would_make_up(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "whole")
    checkpoint_faults.resave(folder, lambda found, name: found.pop(name), "model.norm.weight")
    with pytest.raises(StageFailed, match=r"1 missing \(model\.norm\.weight\)"):
        load_model(folder)
    shutil.rmtree(folder)
    checkpoints.write(folder)
    checkpoint_faults.resave(
        folder, lambda found, name: found.update({name: found[name][1:].copy()}), "lm_head.weight"
    )
    with pytest.raises(StageFailed, match=r"1 of another shape \(lm_head\.weight\)"):
        load_model(folder)


def test_pickled_weights_are_saved_by_the_command_of_the_hint(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "pickled")
    model = load_model(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="pickled weights only") as caught:
        read_shape(folder)
    hint = str(caught.value.hint)
    code = hint.partition('python -c "')[2].rpartition('"')[0]
    exec(code, {})
    made = settled(tmp_path / "base", folder)
    assert torch.equal(logits(load_model(made)), logits(model))
