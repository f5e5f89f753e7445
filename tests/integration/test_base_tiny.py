"""``base`` made on the machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import training
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.paths import conf_dir, data_dir
from webslm.basics.stage import SilentProgress
from webslm.training import tiny
from webslm.training import tokenizer as tiny_tokenizer

MAKE = """
import sys
from pathlib import Path
from tests import training
training.make_base(Path(sys.argv[1]), seed=int(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.make_base(tmp_path_factory.mktemp("tiny") / "base")


def make_in_process(folder: Path, seed: int, hash_seed: str) -> dict[str, bytes]:
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", MAKE, str(folder), str(seed)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "base.json"}


@pytest.mark.parametrize(
    "text",
    [
        "Question 1?",
        "It's 12 apples, 3.5 kg.",
        "two  spaces\n\n and a line",
        "cafe\u0301",
        "<|im_end|> 7",
    ],
)
def test_torch_and_the_page_cut_text_alike(base: Path, text: str) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    page = Tokenizer.from_file(str(base / "tokenizer.json"))
    torch = AutoTokenizer.from_pretrained(base)
    assert torch(text)["input_ids"] == page.encode(text).ids


def test_checkpoint_is_a_plain_one(base: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert sorted(p.name for p in base.iterdir()) == [
        "base.json",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    model = AutoModelForCausalLM.from_pretrained(base, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    shape = training.SHAPE
    assert model.config.model_type == shape.model_type
    assert len(tokenizer) == model.config.vocab_size == shape.vocab_size
    block = model.model.layers[0]
    assert len(model.model.layers) == shape.num_hidden_layers
    assert block.self_attn.q_proj.weight.shape == (
        shape.num_attention_heads * shape.head_dim,
        shape.hidden_size,
    )
    assert block.self_attn.k_proj.weight.shape[0] == shape.num_key_value_heads * shape.head_dim
    assert block.mlp.up_proj.weight.shape == (shape.intermediate_size, shape.hidden_size)
    assert str(model.dtype) == "torch.float32"
    ends = [tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")]
    assert model.generation_config.eos_token_id == ends
    assert tokenizer.eos_token_id == ends[0]
    assert tokenizer.pad_token_id == ends[1]
    assert tokenizer.bos_token_id is None


def test_tokenizer_round_trips_and_renders_chatml(base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(base, local_files_only=True)
    text = "Tea , coffee  and\nwater: 3.5 % — naïve? 日本"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    messages = training.rows()[-1]["messages"]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert rendered == tiny_tokenizer.render(messages)
    asked = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert asked == rendered + "<|im_start|>assistant\n"
    ids = tokenizer(rendered)["input_ids"]
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_start|>")) == len(messages)


def test_base_json_tells_where_it_comes_from(base: Path) -> None:
    facts = json.loads((base / "base.json").read_text())
    assert (facts["source"], facts["licence"], facts["seed"]) == ("tiny", "Apache-2.0", 0)
    assert len(facts["loss"]) == training.TINY.steps
    assert facts["loss"][-1][1] == facts["last_loss"] < facts["loss"][0][1]
    assert "seconds" not in facts, "times would make equal bases differ in bytes"
    assert facts["threads"] >= 1
    for name, digest in facts["files"].items():
        assert hashlib.sha256((base / name).read_bytes()).hexdigest() == digest
    assert set(facts["files"]) == {p.name for p in base.iterdir()} - {"base.json"}


def test_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    first = make_in_process(tmp_path / "first", 0, "1")
    second = make_in_process(tmp_path / "second", 0, "2")
    other = make_in_process(tmp_path / "other", 1, "1")
    assert first == second
    assert first["model.safetensors"] != other["model.safetensors"]
    assert first["tokenizer.json"] == other["tokenizer.json"]


def test_shipped_corpus_holds_no_chat_row_of_a_domain() -> None:
    domains = sorted({path.stem for path in (conf_dir() / "domain").glob("*.yaml")} - {"auto"})
    texts = ["shipped:tiny/text.jsonl"] + [f"shipped:{name}/knowledge.json" for name in domains]
    documents = "\n".join(tiny.corpus(replace(training.TINY, text_paths=texts)))
    assert len(documents) > 50_000
    for name in domains:
        for kind in ("train", "held_out"):
            for line in (data_dir() / name / f"{kind}.jsonl").read_text().splitlines():
                for message in json.loads(line)["messages"]:
                    assert message["content"] not in documents or len(message["content"]) < 25


def test_progress_ends_at_the_last_step(tmp_path: Path) -> None:
    from webslm.basics.stage import Context
    from webslm.schema import BaseStageConf
    from webslm.stages import base

    seen: list[tuple[float, float, str]] = []

    class Recorder(SilentProgress):
        def update(self, done: float, total: float, message: str = "") -> None:
            seen.append((done, total, message))

    out = tmp_path / "out"
    out.mkdir()
    conf = BaseStageConf(base=training.base_conf(), seed=0)
    base.run(conf, {}, out, Context(cache_dir=out, log_dir=out, progress=Recorder()))
    steps = training.TINY.steps
    assert [(done, total) for done, total, _ in seen] == [(n + 1, steps) for n in range(steps)]
    assert seen[-1][2].startswith("loss ")


def test_vocabulary_larger_than_the_text_gives_is_refused(tmp_path: Path) -> None:
    shape = replace(training.SHAPE, vocab_size=100_000)
    with pytest.raises(ConfigError, match=r"base\.shape\.vocab_size: 100000 entries asked"):
        training.make_base(tmp_path / "base", shape=shape)


def test_loss_that_is_no_number_stops(tmp_path: Path) -> None:
    wild = replace(training.TINY, learning_rate=1e30)
    with pytest.raises(StageFailed, match=r"the loss is (nan|inf) at step \d"):
        training.make_base(tmp_path / "base", tiny=wild)


def test_text_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    absent = replace(training.TINY, text_paths=[str(tmp_path / "none.jsonl")])
    with pytest.raises(ConfigError, match=r"cannot read .*none\.jsonl"):
        training.make_base(tmp_path / "one", tiny=absent)
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"words": 1}\n')
    bad = replace(training.TINY, text_paths=[str(tmp_path / "bad.jsonl")])
    with pytest.raises(ConfigError, match=r"bad\.jsonl' row 2: no text or content"):
        training.make_base(tmp_path / "two", tiny=bad)
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        training.make_base(tmp_path / "three", tiny=bad)
