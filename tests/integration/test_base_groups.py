"""Base groups of the hub describe real models: sizes as published, names as transformers saves."""

from __future__ import annotations

import math

import pytest

from webslm.basics.paths import conf_dir
from webslm.config.compose import compose
from webslm.model.architectures import architecture
from webslm.schema import BaseSource, Config
from webslm.training import random_weights

PUBLISHED = {
    "gemma_2_2b": 2_614_341_888,
    "gemma_3_1b": 999_885_952,
    "llama_3_2_1b": 1_235_814_400,
    "mistral_7b": 7_248_023_552,
    "phi_3_5_mini": 3_821_079_552,
    "qwen2_5_0_5b": 494_032_768,
    "qwen2_5_1_5b": 1_543_714_304,
    "qwen2_5_coder_0_5b": 494_032_768,
    "qwen2_5_coder_1_5b": 1_543_714_304,
    "qwen2_5_math_1_5b": 1_543_714_304,
    "qwen3_0_6b": 596_049_920,
    "smollm2_135m": 134_515_008,
    "smollm2_360m": 361_821_120,
}
"""Parameters that the models' pages give; a tied head counts once."""
GATED = {"gemma_2_2b", "gemma_3_1b", "llama_3_2_1b", "mistral_7b"}
NO_SYSTEM = {"gemma_2_2b", "gemma_3_1b", "mistral_7b"}


def group(name: str) -> Config:
    return compose([f"base={name}", "base.weights=random", "finetune=none"])


def test_every_hub_group_is_listed() -> None:
    others = {"tiny", "local", "gguf", "smollm2_135m_wheel"}
    names = {path.stem for path in (conf_dir() / "base").glob("*.yaml")} - others
    assert names == set(PUBLISHED)
    bases = {name: compose([f"base={name}"]).base for name in names}
    elsewhere = {name for name, base in bases.items() if base.source is not BaseSource.hub}
    assert elsewhere == {"smollm2_135m"}
    assert bases["smollm2_135m"].source is BaseSource.auto
    assert {name for name, base in bases.items() if base.gated} == GATED
    assert {name for name, base in bases.items() if base.system_fold} == NO_SYSTEM


@pytest.mark.parametrize("name", PUBLISHED)
def test_group_has_the_published_size_and_transformers_tensors(name: str) -> None:
    shape = group(name).base.shape
    family = architecture(shape.model_type)
    parameters = family.parameters(shape)
    assert sum(math.prod(parameter.shape) for parameter in parameters) == PUBLISHED[name]
    assert family.shape(family.config(shape)) == shape
    saved = random_weights.tensors({**family.config(shape), "torch_dtype": "bfloat16"})
    assert set(saved) == {source for p in parameters for source in p.sources}
    assert sum(math.prod(size) for size in saved.values()) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_lora_targets_are_modules_of_the_model(name: str) -> None:
    cfg = compose([f"base={name}"])
    shape = cfg.base.shape
    sources = {s for p in architecture(shape.model_type).parameters(shape) for s in p.sources}
    modules = {source.split(".")[-2] for source in sources if "_proj.weight" in source}
    assert set(cfg.lora.target_modules) == modules
