"""What a GGUF file must say to be a base; each missing or foreign part is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import gguf_files
from tests.gguf_files import Parts
from tests.integration.architecture_models import random_model, small
from webslm.basics.errors import ConfigError
from webslm.model.architectures import architecture
from webslm.model.gguf.config import to_config
from webslm.model.gguf.header import Header, TensorInfo
from webslm.model.gguf.location import locate
from webslm.model.gguf.model import Model, read_model
from webslm.model.gguf.types import STORAGE
from webslm.model.gguf.vocabulary import read_vocabulary
from webslm.model.gguf.weights import sources
from webslm.schema import ShapeConf

SHAPE = small("llama", num_hidden_layers=1, intermediate_size=32)
Change = Callable[[Parts], Any]


def read(tmp_path: Path, *changes: Change, shape: ShapeConf = SHAPE) -> Model:
    made = gguf_files.parts(random_model(shape), shape)
    for change in changes:
        change(made)
    return read_model(locate(str(gguf_files.write(tmp_path / "m.gguf", made))))


def told(**values: Any) -> Change:
    """Return a change of metadata: ``__`` stands for a point, None takes a key out."""

    def change(made: Parts) -> None:
        for key, value in values.items():
            made.metadata[key.replace("__", ".")] = value
        made.metadata = {k: v for k, v in made.metadata.items() if v is not None}

    return change


def without(name: str) -> Change:
    return lambda made: made.tensors.pop(name)


def with_tensor(name: str, *size: int) -> Change:
    return lambda made: made.tensors.update({name: np.zeros(size, np.float32)})


@pytest.mark.parametrize(
    ("change", "sentence", "hint"),
    [
        (told(general__architecture="gptneox"), "architecture 'gptneox' cannot", "supported: "),
        (told(general__architecture="gemma"), "architecture 'gemma' cannot", "is gemma2"),
        (told(general__architecture="clip"), r"\(mmproj\), not a language model", "without mmproj"),
        (told(general__type="mmproj"), "the part that reads images", "without mmproj"),
        (told(general__type="adapter"), "an adapter, not a model", "finetune=adapter"),
        (told(split__count=3, split__no=0), "one of 3 parts", "llama-gguf-split --merge"),
        (told(llama__expert_count=8), "8 experts in each layer", "dense"),
        (told(llama__block_count=None), r"no llama\.block_count in", None),
        (told(llama__attention__head_count_kv=[2, 1]), "differs between layers", "one shape"),
        (told(llama__attention__value_length=8), "keys and values of different sizes", None),
        (told(llama__attention__scale=0.5), r"llama\.attention\.scale is 0\.5", "without it"),
        (told(llama__rope__dimension_count=8), "8 of a head's 16 numbers are rotated", None),
        (
            told(llama__rope__scaling__type="yarn", llama__rope__scaling__factor=4.0),
            "cannot compute rope_type 'yarn'",
            "choose a base",
        ),
        (without("token_embd.weight"), r"no token_embd\.weight", "whole file"),
        (without("blk.0.ffn_up.weight"), r"1 tensors are missing: blk\.0\.ffn_up", "whole file"),
        (told(llama__block_count=2), "9 tensors are missing: blk.1.attn_q", "whole file"),
        (
            with_tensor("blk.0.attn_sub_norm.weight", 64),
            r"1 tensors have no place in llama: blk\.0\.attn_sub_norm\.weight",
            "more than the library does",
        ),
        (
            told(llama__feed_forward_length=64),
            r"blk\.0\.ffn_gate\.weight \[32, 64\].*wants \[128, 64\]",
            "another file",
        ),
        (with_tensor("rope_freqs.weight", 8), "follows no rule", "Llama 3.1"),
        (told(tokenizer__ggml__model="bert"), "tokenizer 'bert' is not read", "SentencePiece"),
        (told(tokenizer__ggml__pre="viking"), r"tokenizer\.ggml\.pre is 'viking'", "qwen2"),
        (told(tokenizer__ggml__pre=None), r"no tokenizer\.ggml\.pre", "a newer file"),
        (told(tokenizer__ggml__merges=None), r"no tokenizer\.ggml\.merges", "whole file"),
        (told(tokenizer__ggml__tokens=["a"] * 300), "'a' is in the vocabulary twice", "another"),
        (told(tokenizer__ggml__token_type=[1] * 9), r"9 tokenizer\.ggml\.token_type for 300", None),
    ],
)
def test_a_file_that_cannot_be_a_base_says_why(
    change: Change, sentence: str, hint: str | None, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        read(tmp_path, change)
    assert (hint or "") in (caught.value.hint or "")


ODD: tuple[Any, ...] = ("x", -1, 0, 1 << 40, float("nan"), float("-inf"), True, [], ["x"], [1, 2])


@pytest.mark.parametrize("name", ["llama3", "gemma3", "phi3"])
def test_odd_metadata_is_refused_or_read(name: str) -> None:
    shape = gguf_files.LAYOUTS[name]
    made = gguf_files.parts(random_model(shape), shape)
    tensors = {
        called: TensorInfo(name=called, shape=value.shape, storage=STORAGE[0], offset=0)
        for called, value in made.tensors.items()
    }
    tables = [value for called, value in made.tensors.items() if "rope" in called]
    problems: list[tuple[str, str | None]] = []
    for key in made.metadata:
        for odd in ODD:
            header = Header(name="m", metadata={**made.metadata, key: odd}, tensors=tensors)
            try:
                config = to_config(header, lambda *_: tables[0].tobytes())
                shape_of = architecture(config["model_type"]).shape(config)
                read_vocabulary(header)
                sources(header, shape_of)
            except ConfigError as exc:
                problems += exc.problems
    assert len(problems) > 100
    assert [message for message, _ in problems if len(message) > 400] == []


def test_a_vocabulary_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a vocabulary without weights"):
        read(tmp_path, lambda made: made.tensors.clear())


def test_tied_heads_are_told_by_the_missing_one(tmp_path: Path) -> None:
    assert not read(tmp_path).shape.tie_word_embeddings
    tied = read(tmp_path, without("output.weight"))
    assert tied.shape.tie_word_embeddings
    assert "lm_head.weight" not in {source.name for source in tied.sources}


def test_layers_of_one_shape_may_be_told_as_lists(tmp_path: Path) -> None:
    same = told(llama__attention__head_count_kv=[2], llama__feed_forward_length=[32])
    assert read(tmp_path, same).shape == SHAPE


def test_more_tokens_than_rows_are_refused_and_fewer_are_padding(tmp_path: Path) -> None:
    def cut(made: Parts) -> None:
        for key in ("tokens", "token_type"):
            made.metadata[f"tokenizer.ggml.{key}"] = made.metadata[f"tokenizer.ggml.{key}"][:280]

    assert read(tmp_path, cut).shape.vocab_size == 300

    def grow(made: Parts) -> None:
        made.metadata["tokenizer.ggml.tokens"] += ["one", "two"]
        made.metadata["tokenizer.ggml.token_type"] += [1, 1]

    with pytest.raises(ConfigError, match="302 tokens, and a table of 300"):
        read(tmp_path, grow)


@pytest.mark.parametrize(
    ("licence", "spdx"),
    [("apache-2.0", "Apache-2.0"), ("MIT", "MIT"), ("gemma", "gemma"), (None, None)],
)
def test_licence_is_the_files(licence: str | None, spdx: str | None, tmp_path: Path) -> None:
    assert read(tmp_path, told(general__license=licence)).licence == spdx


def test_stops_are_what_the_file_and_its_template_name(tmp_path: Path) -> None:
    assert read(tmp_path).vocabulary.stops == (0, 2)
    with_turn = told(tokenizer__ggml__eot_token_id=5, tokenizer__ggml__eom_token_id=9999)
    assert read(tmp_path, with_turn).vocabulary.stops == (0, 5, 2)
    plain = told(tokenizer__chat_template="{{ messages }}")
    assert read(tmp_path, plain).vocabulary.stops == (0,)
