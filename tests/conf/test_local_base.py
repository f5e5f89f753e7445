"""A local base before any work: what its folder lacks, whose limits hold, what is not read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests import checkpoints
from tests.checkpoints import edit, put
from webslm.basics.errors import ConfigError
from webslm.basics.keys import plain
from webslm.basics.screen import Screen
from webslm.cli.build import build
from webslm.cli.main import run
from webslm.config.checks.preflight import notices, preflight
from webslm.config.compose import compose, restore
from webslm.schema import Config

ROWS = [
    [{"role": "user", "content": f"What is {name}?"}, {"role": "assistant", "content": answer}]
    for name, answer in {"tea": "A hot drink.", "salt": "A mineral.", "rain": "Water."}.items()
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkpoints.write(tmp_path / "mine")


def composed(folder: Path, *words: str, rows: list[list[dict[str, str]]] = ROWS) -> Config:
    data = folder.parent / "rows.jsonl"
    data.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), encoding="utf-8")
    named = [f"base.path={folder}", f"data.path={data}", "data.closing=null", "name=mine"]
    return compose(["base=local", *named, *words])


def refusal(folder: Path, *words: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        preflight(composed(folder, *words))
    return caught.value


@pytest.mark.parametrize("words", [(), ("finetune=none",)])
def test_a_lost_head_is_refused_tuned_or_not_and_the_hint_mends_it(
    folder: Path, words: tuple[str, ...]
) -> None:
    kept = checkpoints.tensors(checkpoints.CONFIG)
    del kept["lm_head.weight"]
    checkpoints.save(folder / "model.safetensors", kept)
    error = refusal(folder, *words)
    assert "no lm_head.weight" in error.message
    assert '"tie_word_embeddings": true' in str(error.hint)
    edit(folder / "config.json", put("tie_word_embeddings", value=True))
    preflight(composed(folder, *words))


@pytest.mark.parametrize("words", [(), ("finetune=none",)])
def test_a_head_of_its_own_in_a_tied_model_is_refused_and_the_hint_mends_it(
    folder: Path, words: tuple[str, ...]
) -> None:
    edit(folder / "config.json", put("tie_word_embeddings", value=True))
    error = refusal(folder, *words)
    assert "lm_head.weight differs from model.embed_tokens.weight" in error.message
    assert '"tie_word_embeddings": false' in str(error.hint)
    edit(folder / "config.json", put("tie_word_embeddings", value=False))
    preflight(composed(folder, *words))


def test_a_shape_that_is_typed_is_refused_whatever_its_value(folder: Path) -> None:
    for word in ("base.shape.tie_word_embeddings=false", "base.shape.hidden_size=16"):
        with pytest.raises(ConfigError, match="a local base's shape is its own file's") as caught:
            composed(folder, word)
        assert word.partition("=")[0] in str(caught.value.hint)


def test_a_recorded_shape_must_be_the_folders(folder: Path) -> None:
    recorded = plain(composed(folder))
    assert restore(recorded).base.shape == composed(folder).base.shape
    recorded["base"]["shape"]["intermediate_size"] = 25
    with pytest.raises(ConfigError, match=r"base\.shape\.intermediate_size: 25, .* has 24"):
        restore(recorded)


def test_a_shard_that_is_not_there_is_named_before_any_work(folder: Path) -> None:
    checkpoints.shard(folder)
    preflight(composed(folder))
    (folder / checkpoints.SECOND).unlink()
    with pytest.raises(ConfigError, match=rf"names {checkpoints.SECOND}, .* has no such file"):
        composed(folder)


def test_what_is_not_read_is_said(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"x")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {}}', encoding="utf-8")
    checkpoints.write_tokenizer(folder, ("<picture>",))
    cfg = composed(folder, "dry_run=true", "finetune=none")
    said = io.StringIO()
    build(cfg, [], Screen(file=said, width=300))
    assert notices(cfg) == [line for line in said.getvalue().splitlines() if "base.path" in line]
    unread, tokens = notices(cfg)
    assert unread.endswith("model.safetensors: model.safetensors.index.json, pytorch_model.bin")
    assert tokens.endswith("<picture>")
    assert notices(compose(["base=tiny"])) == []


def test_a_token_past_the_table_is_refused_only_where_a_row_uses_it(folder: Path) -> None:
    checkpoints.write_tokenizer(folder, ("<picture>",))
    preflight(composed(folder))
    used = [*ROWS, [{"role": "user", "content": "See <picture>"}, ROWS[0][1] | {"content": "Yes."}]]
    with pytest.raises(ConfigError, match=r"jsonl:4, message 1 uses <picture>, token 258"):
        preflight(composed(folder, rows=used))


def test_rows_are_as_long_as_the_base_reads(tmp_path: Path) -> None:
    short = checkpoints.write(tmp_path / "short", max_position_embeddings=300)
    cfg = composed(short, "lora.max_length=1024")
    assert cfg.lora.max_length == cfg.compiler.context_window_size == 300
    preflight(composed(short, "finetune=none"))
    edit(short / "tokenizer_config.json", put("model_max_length", 64))
    assert composed(short).lora.max_length == 300


def test_a_build_without_a_fine_tune_asks_nothing_of_lora() -> None:
    words = ["base=tiny", "lora.max_length=9999"]
    with pytest.raises(ConfigError, match=r"lora\.max_length: 9999 is above"):
        preflight(compose(words))
    preflight(compose([*words, "finetune=none"]))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
            "bitsandbytes, nf4",
        ),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes, 8 bits"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq, 4 bits"),
        ({"quant_method": "fp8", "fmt": "e4m3"}, "fp8"),
        ({"load_in_4bit": True}, "no method named, 4 bits"),
    ],
)
def test_quantized_weights_are_told_by_their_method(
    folder: Path, config: dict[str, object], told: str
) -> None:
    edit(folder / "config.json", put("quantization_config", config))
    with pytest.raises(ConfigError, match=rf"quantized already \({told}\)") as caught:
        composed(folder)
    assert "take the original checkpoint" in str(caught.value.hint)


def test_a_broken_base_is_told_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints.shard(folder)
    (folder / checkpoints.FIRST).unlink()
    words = ["base=local", f"base.path={folder}", "data.closing=null", "quant=q4f32_1"]
    assert run([*words, f"output_dir={tmp_path / 'out'}"]) == 2
    said = capsys.readouterr().err
    assert said.count("config error") == 1
    assert "has no such file" in said
