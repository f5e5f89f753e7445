"""Inputs of the bundle stage that are whole in form; their library and weights compute nothing."""

from __future__ import annotations

import json
from pathlib import Path

from webslm.basics.paths import cache_dir
from webslm.basics.stage import Context
from webslm.schema import (
    AppConf,
    BundleStageConf,
    CardConf,
    DomainConf,
    LoraConf,
    QuantConf,
    RuntimeConf,
)

WEB_LLM = "0.2.85"
INTEGRITY = (
    "sha512-CwUiSAvDCYnmAZlpPMkurPHDfBLq6fvdRB3vRgoA894hRG/V/BSeY9bmMm6iIIU5VpjJxfb/"
    "dLPpJX2at0L9rw=="
)
LIBRARY = "library-0123456789abcdef.wasm"
EMPTY_WASM = b"\0asm\1\0\0\0"
SYSTEM_PROMPT = "You are a careful <b>assistant</b>."
MEMORY = {
    "weights_bytes": 4_000_000,
    "kv_cache_bytes": 2_000_000,
    "kv_cache_bytes_by_context": {"512": 2_000_000},
    "temporaries_bytes": 1_000_000,
    "total_bytes": 7_000_000,
    "largest_buffer": "model.embed_tokens.q_weight",
    "largest_buffer_bytes": 500_000,
}
DISCLAIMER = 'Can be wrong & is not advice; see "About".'


def write_inputs(
    root: Path, *, wasm: bytes = EMPTY_WASM, shard: bytes = b"\0" * 64
) -> dict[str, Path]:
    """Write the folders that the bundle stage reads."""
    files: dict[str, bytes | object] = {
        "data/stats.json": {
            "system_prompt": SYSTEM_PROMPT,
            "train": {"rows": 1, "answer_words_mean": 2.0},
            "held_out": {"rows": 0, "answer_words_mean": 0.0},
        },
        "data/held_out.jsonl": b"",
        "data/train.jsonl": {
            "messages": [
                {"role": "system", "content": SYSTEM_PROMPT},
                {"role": "user", "content": "what is it"},
                {"role": "assistant", "content": "An example."},
            ]
        },
        "convert/params_shard_0.bin": shard,
        "convert/tensor-cache.json": {
            "records": [{"dataPath": "params_shard_0.bin", "nbytes": len(shard), "records": []}]
        },
        "convert/convert.json": {"bytes": len(shard), "tensors": [{"rms_relative_error": 0.1}]},
        "finetune/train_log.json": {"steps": 1, "epochs": 1.0, "loss": [[1, 2.0]]},
        "golden/golden.json": {"num_tokens": 1, "answers": []},
        "chat_config/mlc-chat-config.json": {
            "context_window_size": 512,
            "sliding_window_size": -1,
            "vocab_size": 1,
            "tokenizer_files": ["tokenizer.json"],
        },
        "chat_config/tokenizer.json": {
            "version": "1.0",
            "added_tokens": [],
            "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
        },
        f"compile/{LIBRARY}": wasm,
        "compile/library.json": {"memory": MEMORY, "metadata": {}},
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    names = ("data", "convert", "chat_config", "compile", "golden", "finetune")
    return {name: root / name for name in names}


def write_half(folder: Path) -> Path:
    """Write what ``compile_f16`` leaves beside such a library."""
    folder.mkdir()
    (folder / "library-fedcba9876543210.wasm").write_bytes(EMPTY_WASM * 2)
    document = {
        "memory": MEMORY | {"total_bytes": 5_000_000},
        "metadata": {"activations": "float16"},
    }
    (folder / "library.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def configuration(*, name: str = "example", dtype: str = "float32") -> BundleStageConf:
    """Return a bundle stage's configuration."""
    return BundleStageConf(
        name=name,
        app=AppConf(title="Example <assistant>"),
        domain=DomainConf(
            name="example",
            title="Example",
            train_path="unused",
            disclaimer=DISCLAIMER,
            questions=["What is it?", "<i>Why?</i>"],
        ),
        runtime=RuntimeConf(name="row", web_llm=WEB_LLM, web_llm_integrity=INTEGRITY),
        quant=QuantConf(name="q4f32_1", bits=4, dtype=dtype),
        card=CardConf(
            base="tiny",
            base_id=None,
            base_origin=None,
            base_commit=None,
            licence="Apache-2.0",
            lora=LoraConf(),
            seed=0,
        ),
    )


def context(folder: Path) -> Context:
    """Return a stage's context with this machine's cache, where web-llm is fetched once."""
    return Context(cache_dir=cache_dir(), log_dir=folder)
