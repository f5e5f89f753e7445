"""What the commands write, in the real ones' layouts; webslm's own compiler makes the library."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webslm.basics import model_files

INDEX = {"0.19": "ndarray-cache.json", "0.20": "tensor-cache.json"}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(kw_only=True)
class QWen2Config:
    """The fields without which the release's class of this name cannot be made."""

    hidden_act: str
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    num_key_value_heads: int
    rms_norm_eps: float
    rope_theta: int
    vocab_size: int
    tie_word_embeddings: bool = False
    dtype: str = "float32"
    kwargs: dict[str, Any] = field(default_factory=dict)


def read_config(path: Path) -> dict[str, Any]:
    """Return a config.json; one that the release's class cannot read ends as it does there."""
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known = set(QWen2Config.__dataclass_fields__) - {"kwargs"}
    if config["model_type"] == "qwen2":
        fields = {key: value for key, value in config.items() if key in known}
        QWen2Config(**fields, kwargs={})
    return config


def convert_weight(words: argparse.Namespace, release: str) -> None:
    """Write packed weights: every float32 as bfloat16, every record called so."""
    from webslm.model.architectures import architecture
    from webslm.model.weights.checkpoint import Checkpoint
    from webslm.model.weights.conversion import write_parameter
    from webslm.model.weights.format import StoredTensor
    from webslm.model.weights.shards import ShardReader, ShardWriter

    config = read_config(Path(words.config))
    source, out = Path(words.source), Path(words.output)
    checkpoint = Checkpoint(source)
    if not (source / "model.safetensors.index.json").exists():
        # The real one writes beside the weights too.
        (source / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    family = architecture(config["model_type"])
    quant, raw = format_of(words.quantization), out / "raw"
    raw.mkdir(parents=True)
    writer = ShardWriter(raw)
    for parameter in family.parameters(family.shape(config)):
        write_parameter(writer, checkpoint, parameter, quant)
    writer.close(num_weights=1)
    reader, packed = ShardReader(raw), ShardWriter(out)
    for name in reader.names:
        tensor = reader.describe(name)
        encoding = "f32-to-bf16" if tensor.dtype == "float32" else "raw"
        packed.add(
            StoredTensor(name=name, shape=tensor.shape, dtype=tensor.dtype, encoding=encoding),
            [reader.read(name)],
        )
    index = packed.close(num_weights=1)
    shutil.rmtree(raw)
    for shard in index["records"]:
        del shard["sha256"]
        for record in shard["records"]:
            record["format"] = "f32-to-bf16"
    (out / model_files.TENSOR_INDEX).unlink()
    (out / INDEX[release]).write_text(json.dumps(index), encoding="utf-8")


def gen_config(words: argparse.Namespace, release: str) -> None:
    """Write mlc-chat-config.json."""
    del release
    config = read_config(Path(words.config))
    out = Path(words.output)
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "version": "0.1.0",
        "model_type": config["model_type"],
        "quantization": words.quantization,
        "model_config": {**config, "max_batch_size": words.max_batch_size},
        "context_window_size": words.context_window_size,
        "prefill_chunk_size": words.prefill_chunk_size,
        "conv_template": {"name": words.conv_template},
        "tokenizer_files": [],
    }
    text = json.dumps(document, indent=2)
    (out / "mlc-chat-config.json").write_text(text, encoding="utf-8")


def compile(words: argparse.Namespace, release: str) -> None:  # noqa: A001  the command's name
    """Write a library for the browser."""
    del release
    runtime = Path("web") / "dist" / "wasm" / "mlc_wasm_runtime.bc"
    tree = os.environ.get("MLC_LLM_SOURCE_DIR")
    if not runtime.exists() and not (tree and (Path(tree) / runtime).exists()):
        raise RuntimeError("Cannot find library: mlc_wasm_runtime.bc\nMake sure you have run ...")
    chat = json.loads(Path(words.model).read_text(encoding="utf-8"))
    out = Path(words.output)
    if words.device != "webgpu" or out.suffix != ".wasm" or not out.parent.is_dir():
        raise ValueError(f"Invalid target: {words.device} {out}")
    ready = os.environ.get("MLC_STAND_IN_LIBRARY")
    if ready:
        shutil.copyfile(ready, out)
    else:
        make(chat, out)


def make(chat: dict[str, Any], out: Path) -> None:
    """Compile with webslm."""
    from webslm.basics.paths import cache_dir
    from webslm.compiler.library import compile_library, webgpu_target
    from webslm.compiler.wasm.contract import WEB_LLM
    from webslm.compiler.wasm.objects import write_library
    from webslm.compiler.wasm.runtime import build_runtime
    from webslm.model.architectures import architecture

    config = chat["model_config"]
    compiled = compile_library(
        architecture(config["model_type"]).shape(config),
        format_of(chat["quantization"]),
        context_window_size=chat["context_window_size"],
        prefill_chunk_size=chat["prefill_chunk_size"],
        target=webgpu_target(),
    )
    runtime = build_runtime(cache_dir() / "tools" / "wasm-runtime")
    write_library(compiled.executable, runtime, out, WEB_LLM)


def format_of(name: str) -> Any:
    """Return a weight format by its name."""
    from webslm.schema import QuantConf

    bits = int(name[1])
    dtype = "float16" if "f16" in name else "float32"
    return QuantConf(name=name, bits=bits, group_size=40 if bits == 3 else 32, dtype=dtype)
