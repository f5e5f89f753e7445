"""GGUF files as bases: every layout gives the original model, every storage type its numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize

from tests import gguf_files, training
from tests.integration.architecture_models import random_model, small
from webslm.basics.errors import StageFailed
from webslm.model.gguf import base as gguf_base
from webslm.model.gguf import tensors as gguf_weights
from webslm.model.gguf.header import TensorInfo
from webslm.model.gguf.location import Location, locate
from webslm.model.gguf.model import Model, read_model
from webslm.model.gguf.types import STORAGE, Storage
from webslm.model.gguf.weights import Source
from webslm.schema import BaseSource, BaseStageConf
from webslm.stages import base
from webslm.training.loaded import load_model


def silent(*_: object) -> None:
    """Report nothing."""


def imported(file: Path, folder: Path) -> Model:
    folder.mkdir()
    model = read_model(locate(str(file)))
    gguf_base.write(model, folder, folder.parent / "scratch", silent)
    return model


@pytest.mark.parametrize("name", gguf_files.LAYOUTS)
def test_a_layout_gives_the_original_models_logits(name: str, tmp_path: Path) -> None:
    shape = gguf_files.LAYOUTS[name]
    original = random_model(shape)
    file = gguf_files.write(tmp_path / "m.gguf", gguf_files.parts(original, shape))
    assert imported(file, tmp_path / "out").shape == shape
    again = load_model(tmp_path / "out")
    ids = torch.randint(0, shape.vocab_size, (1, 40), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        one, other = original(input_ids=ids).logits, again(input_ids=ids).logits
    assert float((one - other).abs().max()) <= 1e-5
    norms = 0 if shape.model_type.startswith("gemma") else 1
    for key, value in again.state_dict().items():
        if norms or "norm" not in key:
            assert torch.equal(value, original.state_dict()[key]), key


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_1])
def test_a_stored_model_is_read_as_the_wheel_reads_it(kind: Kind, tmp_path: Path) -> None:
    shape = replace(small("qwen2", attention_bias=True), intermediate_size=128)
    made = gguf_files.stored_as(gguf_files.parts(random_model(shape), shape), kind)
    model = imported(gguf_files.write(tmp_path / "m.gguf", made), tmp_path / "out")
    state = load_model(tmp_path / "out").state_dict()
    for source in model.sources:
        raw = made.tensors[source.tensor.name]
        wanted = dequantize(raw, kind) if raw.ndim > 1 else raw
        assert np.array_equal(state[source.name].float().numpy(), wanted), source.name


@pytest.mark.parametrize("number", STORAGE)
def test_every_storage_type_is_unpacked_in_pieces_as_the_wheel_does(
    number: int, tmp_path: Path
) -> None:
    storage = STORAGE[number]
    rows, width = 12, 2 * storage.elements
    # Bytes below 0x7c: no half or single number they make is infinite.
    drawn = np.random.default_rng(number).integers(
        0, 0x3C, rows * 2 * storage.nbytes, dtype=np.uint8
    )
    file = tmp_path / "raw"
    file.write_bytes(b"before" + drawn.tobytes() + b"after")
    info = TensorInfo(name="w", shape=(rows, width), storage=storage, offset=6)
    source = Source(name="w", tensor=info, head_dim=None, offset=0.0)
    pieces = [*gguf_weights.blocks(file, source, block_bytes=5 * width * 4)]
    assert len(pieces) == 3
    wanted = dequantize(drawn.reshape(rows, -1), Kind(number))
    found = np.concatenate(pieces)
    if storage.name == "BF16":
        found = (found.astype(np.uint32) << 16).view(np.float32)
    assert np.array_equal(found.astype(np.float32).reshape(wanted.shape), wanted)


def test_storage_table_is_the_wheels() -> None:
    from gguf.quants import _type_traits

    sizes = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {number: (s.elements, s.nbytes) for number, s in STORAGE.items()} == {
        number: sizes[number] for number in STORAGE
    }
    assert {s.name for s in STORAGE.values()} == {
        "F32", "F16", *(kind.name for kind in _type_traits)
    }  # fmt: skip


def test_rows_of_heads_are_put_back_across_pieces(tmp_path: Path) -> None:
    plain = np.arange(6 * 8 * 4, dtype=np.float32).reshape(48, 4)
    file = tmp_path / "raw"
    file.write_bytes(gguf_files._permuted(plain, 8).tobytes())
    info = TensorInfo(name="q", shape=(48, 4), storage=Storage("F32", 1, 4), offset=0)
    source = Source(name="q", tensor=info, head_dim=8, offset=0.0)
    pieces = [*gguf_weights.blocks(file, source, block_bytes=2 * 8 * 4 * 4)]
    assert len(pieces) == 3
    assert np.array_equal(np.concatenate(pieces), plain)


@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.BF16])
def test_numbers_that_are_not_finite_end_the_build(kind: Kind, tmp_path: Path) -> None:
    shape = small("qwen2", attention_bias=True)
    made = gguf_files.parts(random_model(shape), shape)
    made.tensors["blk.1.ffn_up.weight"][3, 5] = np.inf
    made = gguf_files.stored_as(made, kind) if kind is not Kind.F32 else made
    file = gguf_files.write(tmp_path / "m.gguf", made)
    with pytest.raises(StageFailed, match=r"blk\.1\.ffn_up\.weight holds numbers that are not"):
        imported(file, tmp_path / "out")


def small_parts(**changes: Any) -> gguf_files.Parts:
    shape = small("qwen2", attention_bias=True, num_hidden_layers=1)
    made = gguf_files.parts(random_model(shape), shape)
    made.metadata |= changes
    return made


def run_stage(tmp_path: Path, file: Path, **changes: Any) -> Path:
    out = tmp_path / "base"
    out.mkdir()
    shape = read_model(locate(str(file))).shape
    conf = training.base_conf(source=BaseSource.gguf, path=str(file), shape=shape, **changes)
    base.run(BaseStageConf(base=conf, seed=0), {}, out, training.context(tmp_path))
    return out


def test_stage_writes_a_checkpoint_with_stops_template_and_facts(tmp_path: Path) -> None:
    named = {"tokenizer.chat_template.tool_use": "{{ tools }}"}
    out = run_stage(tmp_path, gguf_files.write(tmp_path / "m.gguf", small_parts(**named)))
    generation = json.loads((out / "generation_config.json").read_text())
    # eos is <|endoftext|>; the template ends turns with <|im_end|>.
    assert generation == {"eos_token_id": [0, 2], "bos_token_id": 0, "pad_token_id": 0}
    config = json.loads((out / "tokenizer_config.json").read_text())
    assert config["chat_template"] == gguf_files.TEMPLATE
    facts = json.loads((out / "base.json").read_text())
    assert (facts["id"], facts["source"]) == ("Small", "gguf")
    assert facts["gguf"]["templates_left"] == ["tool_use"]
    assert facts["gguf"]["storage"] == {"F32": 9}


def test_a_template_of_ones_own_serves_a_file_without(tmp_path: Path) -> None:
    made = small_parts()
    del made.metadata["tokenizer.chat_template"]
    file = gguf_files.write(tmp_path / "m.gguf", made)
    own = tmp_path / "own.jinja"
    own.write_text("{# own #}" + gguf_files.TEMPLATE, encoding="utf-8")
    out = run_stage(tmp_path, file, template_path=str(own))
    config = json.loads((out / "tokenizer_config.json").read_text())
    assert config["chat_template"] == "{# own #}" + gguf_files.TEMPLATE


def test_a_file_in_a_wheel_is_the_same_base(tmp_path: Path) -> None:
    import zipfile

    file = gguf_files.write(tmp_path / "m.gguf", small_parts())
    wheel = tmp_path / "some-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, "some/m.gguf")
    packed = locate(str(wheel))
    assert packed == Location(path=wheel, member="some/m.gguf")
    assert packed.digest() == locate(str(file)).digest()
    (tmp_path / "one").mkdir()
    one = run_stage(tmp_path / "one", file)
    other = run_stage(tmp_path, wheel)
    assert (one / "base.json").read_bytes() == (other / "base.json").read_bytes()
