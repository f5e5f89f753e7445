"""``chat_config`` on real tokenizers: equal tokens for the shipped data, or a clear refusal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webslm.basics.errors import StageFailed
from webslm.basics.paths import conf_dir, data_dir
from webslm.basics.stage import Context, Metrics
from webslm.model.prompts.conversation import render
from webslm.schema import ChatConfigStageConf, DecodingConf, ShapeConf
from webslm.stages.chat_config import run
from webslm.training import tokenizer as bpe

VOCAB_SIZE = 512
DOMAINS = sorted({path.stem for path in (conf_dir() / "domain").glob("*.yaml")} - {"auto"})
MULTI_TURN = [
    {"role": "user", "content": "What is a deductible?"},
    {"role": "assistant", "content": "What you pay first.\n\n- once a year"},
    {"role": "user", "content": "  And after that? "},
    {"role": "assistant", "content": "Then the insurer pays."},
    {"role": "user", "content": "东京?"},
    {"role": "assistant", "content": "Yes."},
]
QWEN_DEFAULT = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
)
Run = Callable[..., tuple[dict[str, Any], Metrics]]


def rows(domain: str, name: str) -> list[dict[str, Any]]:
    lines = (data_dir() / domain / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base's own kind of tokenizer, made from shipped text."""
    folder = tmp_path_factory.mktemp("tokenizer")
    shipped = [row for domain in ("medical", "code") for row in rows(domain, "train")]
    texts = [message["content"] for row in shipped for message in row["messages"]]
    bpe.save(bpe.train(texts, VOCAB_SIZE), folder, max_length=512)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 0], "pad_token_id": 0}')
    return folder


@pytest.fixture
def normalize(trained: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "normalize"
    shutil.copytree(trained, folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write_data(folder, rows("medical", "train"), rows("medical", "held_out"))
    return folder


def write_data(folder: Path, train: list[Any], held_out: list[Any] | None = None) -> None:
    for name, lines in (("train", train), ("held_out", held_out or [])):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    first = train[0]["messages"][0]
    system = first["content"] if first["role"] == "system" else None
    (folder / "stats.json").write_text(json.dumps({"system_prompt": system}))


@pytest.fixture
def chat_config(normalize: Path, data: Path, tmp_path: Path) -> Run:
    def call(**changes: Any) -> tuple[dict[str, Any], Metrics]:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        shape = ShapeConf(
            model_type="qwen2",
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            vocab_size=changes.pop("vocab_size", VOCAB_SIZE),
            max_position_embeddings=512,
        )
        values = {"context_window_size": 512, "prefill_chunk_size": 128, **changes}
        conf = ChatConfigStageConf(
            shape=shape,
            quant_name="q4f32_1",
            decoding=DecodingConf(temperature=0.3, top_p=0.9, repetition_penalty=1.1),
            **values,
        )
        context = Context(cache_dir=tmp_path, log_dir=tmp_path)
        metrics = run(conf, {"normalize": normalize, "data": data}, out, context)
        assert sorted(path.name for path in out.iterdir()) == [
            "mlc-chat-config.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
        return json.loads((out / "mlc-chat-config.json").read_text(encoding="utf-8")), metrics

    return call


def set_template(folder: Path, template: str, **values: Any) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "chat_template": template, **values}))


@pytest.mark.parametrize("domain", DOMAINS)
def test_chat_config_proves_every_shipped_row(chat_config: Run, data: Path, domain: str) -> None:
    train, held_out = rows(domain, "train"), rows(domain, "held_out")
    write_data(data, train, held_out)
    config, metrics = chat_config()
    assert metrics["rows"] == len(train) + len(held_out)
    assert int(str(metrics["prompts"])) > len(train) + len(held_out)
    assert metrics["continued_chat_exact"] is True
    assert config["conv_template"]["system_message"] == train[0]["messages"][0]["content"]


def test_chat_config_renders_what_the_tokenizer_renders(chat_config: Run, normalize: Path) -> None:
    from transformers import AutoTokenizer

    config, _ = chat_config()
    tokenizer = AutoTokenizer.from_pretrained(normalize)
    for row in rows("medical", "held_out"):
        prompt = row["messages"][:2]
        expected = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        assert render(config["conv_template"], prompt) == expected
        assert render(config["conv_template"], prompt[1:]) == expected


def test_chat_config_has_every_key_web_llm_reads(chat_config: Run) -> None:
    config, metrics = chat_config()
    conv = config.pop("conv_template")
    expected = {
        "version": "0.1.0",
        "model_type": "qwen2",
        "quantization": "q4f32_1",
        "vocab_size": VOCAB_SIZE,
        "active_vocab_size": VOCAB_SIZE,
        "context_window_size": 512,
        "sliding_window_size": -1,
        "prefill_chunk_size": 128,
        "attention_sink_size": 0,
        "temperature": 0.3,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "tokenizer_files": ["tokenizer.json", "tokenizer_config.json"],
        "tokenizer_info": {
            "token_postproc_method": "byte_level",
            "prepend_space_in_encode": False,
            "strip_space_in_decode": False,
        },
        "pad_token_id": 0,
        "eos_token_id": [2, 0],
        "model_task": "chat",
    }
    assert {key: config[key] for key in expected} == expected
    assert config["model_config"]["num_key_value_heads"] == 2
    assert conv["stop_token_ids"] == metrics["stop_token_ids"] == [0, 2]
    assert conv["stop_str"] == ["<|endoftext|>", "<|im_end|>"]
    assert conv["seps"]
    assert "role_templates" not in conv


def test_chat_config_stops_at_the_templates_token_even_if_eos_is_another(
    chat_config: Run, normalize: Path
) -> None:
    (normalize / "generation_config.json").write_text('{"eos_token_id": 0}')
    set_template(normalize, bpe.CHAT_TEMPLATE, eos_token="<|endoftext|>")
    config, _ = chat_config()
    assert config["conv_template"]["stop_token_ids"] == [0, 2]
    (normalize / "generation_config.json").write_text('{"eos_token_id": 9999}')
    with pytest.raises(StageFailed, match=r"no tokens with the ids \[9999\]"):
        chat_config()


@pytest.mark.parametrize("system", ["Answer “briefly”.", None])
def test_chat_config_multi_turn_rows(chat_config: Run, data: Path, system: str | None) -> None:
    messages = [{"role": "system", "content": system}, *MULTI_TURN] if system else MULTI_TURN
    write_data(data, [{"messages": messages}])
    config, metrics = chat_config()
    assert metrics["rows"] == 1
    # Without a system message nothing can stand in front of the first turn, so the end of an
    # answer stays a separator, which web-llm leaves out when a chat goes on in its cache.
    assert metrics["continued_chat_exact"] is (system is not None)
    assert config["conv_template"]["system_message"] == (system or "")


def test_chat_config_default_system_of_the_template(
    chat_config: Run, normalize: Path, data: Path
) -> None:
    set_template(normalize, QWEN_DEFAULT + bpe.CHAT_TEMPLATE)
    chat_config()
    write_data(data, [{"messages": MULTI_TURN}])
    config, metrics = chat_config()
    assert config["conv_template"]["system_message"] == "You help."
    assert metrics["continued_chat_exact"] is True


def test_chat_config_reads_a_template_file(chat_config: Run, normalize: Path) -> None:
    path = normalize / "tokenizer_config.json"
    config = json.loads(path.read_text())
    (normalize / "chat_template.jinja").write_text(config.pop("chat_template"))
    path.write_text(json.dumps(config))
    assert chat_config()[0]["conv_template"]["roles"]["assistant"] == "<|im_start|>assistant"


def test_chat_config_template_that_trims_is_kept_for_trimmed_messages(
    chat_config: Run, normalize: Path
) -> None:
    set_template(
        normalize, bpe.CHAT_TEMPLATE.replace("message['content']", "message['content'] | trim")
    )
    assert chat_config()[1]["continued_chat_exact"] is True


def test_chat_config_names_the_row_that_differs(
    chat_config: Run, normalize: Path, data: Path
) -> None:
    set_template(
        normalize, bpe.CHAT_TEMPLATE.replace("message['content']", "message['content'] | trim")
    )
    train = rows("medical", "train")
    train[3]["messages"][1]["content"] += "  "
    write_data(data, train)
    with pytest.raises(StageFailed, match=r"train\.jsonl:4: web-llm's prompt differs .* at token"):
        chat_config()


def test_chat_config_allows_a_row_with_a_system_message_of_its_own(
    chat_config: Run, data: Path
) -> None:
    train = rows("medical", "train")
    train[1]["messages"] = [{"role": "system", "content": "Else."}, *train[1]["messages"][1:]]
    write_data(data, train)
    # Another system message is fine for web-llm as a request's own; tokens agree.
    assert chat_config()[1]["rows"] == len(train)


def test_chat_config_names_a_cut_tokenizer(chat_config: Run, normalize: Path) -> None:
    path = normalize / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["truncation"] = {
        "direction": "Right",
        "max_length": 8,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(StageFailed, match="web-llm's prompt differs"):
        chat_config()


def test_chat_config_row_longer_than_the_context(chat_config: Run) -> None:
    _, metrics = chat_config()
    longest = int(str(metrics["longest_row_tokens"]))
    chat_config(context_window_size=longest)
    with pytest.raises(StageFailed, match=f"longest row has {longest} tokens") as caught:
        chat_config(context_window_size=longest - 1)
    assert f"context_window_size to {longest}" in str(caught.value.hint)


def test_chat_config_context_beyond_the_checkpoint(chat_config: Run) -> None:
    with pytest.raises(StageFailed, match="1024 is beyond the 512 positions"):
        chat_config(context_window_size=1024)


def test_chat_config_tokenizer_larger_than_the_model(chat_config: Run) -> None:
    with pytest.raises(StageFailed, match=r"tokenizer has 512 entries, .* 500"):
        chat_config(vocab_size=500)


def test_chat_config_template_that_cannot_be_said(chat_config: Run, normalize: Path) -> None:
    set_template(normalize, "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    with pytest.raises(StageFailed, match="no special token"):
        chat_config()
    set_template(normalize, "{{ raise_exception('not for chat') }}")
    with pytest.raises(StageFailed, match="refuses a conversation: not for chat"):
        chat_config()


def test_chat_config_unreadable_tokenizer(chat_config: Run, normalize: Path) -> None:
    (normalize / "tokenizer.json").write_text("{}")
    with pytest.raises(StageFailed, match=r"cannot read tokenizer\.json"):
        chat_config()
